"""What can be wrong with a message that is to go out.

OutgoingError
└── MalformedOutgoingError      it cannot be sent as it is
"""

from typing import ClassVar

from kernel.errors import SpazaError


class OutgoingError(SpazaError):
    """Anything that is wrong with a message to be sent."""

    code: ClassVar[str] = "outgoing_error"


class MalformedOutgoingError(OutgoingError):
    """It lacks what every message needs; ``reason`` says what."""

    code: ClassVar[str] = "malformed_outgoing"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason
