"""The errors of the admin API's edge.

SpazaError
    RefusedRequestError     a request that cannot be carried out as it is
"""

from kernel.errors import SpazaError


class RefusedRequestError(SpazaError):
    """A request that is refused.

    Attributes:
        status: of the answer.
        errors: pairs of field and message.
    """

    code = "request_refused"
    http_status = 422

    def __init__(self, status: int, message: str, errors: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(status, message, errors)
        self.status, self.message, self.errors = status, message, errors

    def __str__(self) -> str:
        return self.message
