"""The errors of operating.

SpazaError
    OpsError
        NotRecordedError        the record of operators' actions cannot be written
"""

from kernel.errors import SpazaError


class OpsError(SpazaError):
    """Something about operating."""

    code = "ops"


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
