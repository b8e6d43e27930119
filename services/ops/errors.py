"""The errors of operating.

SpazaError
    OpsError
        RefusedRequestError     a request that cannot be carried out as it is
        NotRecordedError        the record of operators' actions cannot be written
"""

from kernel.errors import SpazaError


class OpsError(SpazaError):
    """Something about operating."""

    code = "ops"


class RefusedRequestError(OpsError):
    """A request that is refused.

    Attributes:
        status: of the answer.
        errors: pairs of field and message.
    """

    code = "ops_refused"
    http_status = 422

    def __init__(self, status: int, message: str, errors: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(status, message, errors)
        self.status, self.message, self.errors = status, message, errors

    def __str__(self) -> str:
        return self.message


class NotRecordedError(OpsError):
    """Nothing is redriven or purged without a record of who did it."""

    code = "action_not_recorded"
    http_status = 503
    retryable = True

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the action cannot be recorded, so it was not begun: {self.reason}"
