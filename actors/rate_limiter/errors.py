"""What can go wrong with a rate limiter. A refusal is none of these: it is an answer.

RateLimiterError
    LimiterUnavailableError     the tenant's owner did not answer in time, or could not be reached
        LimiterOverloadedError  too many checks wait for it already
"""

from typing import ClassVar

from kernel.errors import SpazaError


class RateLimiterError(SpazaError):
    """Anything that goes wrong with a rate limiter."""

    code: ClassVar[str] = "rate_limiter_error"


class LimiterUnavailableError(RateLimiterError):
    """Whether the call is within its limits is not known. It may have been counted."""

    code: ClassVar[str] = "rate_limiter_unavailable"
    http_status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True

    def __init__(self, limiter: str, reason: str) -> None:
        super().__init__(limiter, reason)
        self.limiter, self.reason = limiter, reason

    def __str__(self) -> str:
        return f"{self.limiter} is unavailable: {self.reason}"


class LimiterOverloadedError(LimiterUnavailableError):
    """More checks wait for the owner than are worth waiting for. Nothing was counted."""

    code: ClassVar[str] = "rate_limiter_overloaded"
