"""What can go wrong with Redis.

CacheError
├── RedisAwayError      it cannot be asked now; work without it
└── EnvelopeError       a published message is not in the form of an envelope
"""

from typing import ClassVar

from kernel.errors import SpazaError


class CacheError(SpazaError):
    """Anything that goes wrong with Redis."""

    code: ClassVar[str] = "cache_error"


class RedisAwayError(CacheError):
    """A command failed, or one failed a moment ago."""

    code: ClassVar[str] = "redis_away"
    http_status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"Redis cannot be asked now: {self.reason}"


class EnvelopeError(CacheError):
    """What was published is no envelope: by hand, or by another version."""

    code: ClassVar[str] = "no_envelope"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the message is not in the form timestamp, correlationId, data: {self.reason}"
