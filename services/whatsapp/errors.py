"""What can be wrong with what Meta sends.

InboundError
├── NotJsonError            the bytes are no JSON text
├── NotAnEnvelopeError      signed, but nothing that WhatsApp sends
└── MalformedError          one message or status that cannot be read
"""

from typing import ClassVar

from kernel.errors import SpazaError


class InboundError(SpazaError):
    """Something that came from Meta cannot be understood.

    Attributes:
        reason: snake_case, one of a few; it goes into dead letters and metrics.
    """

    code: ClassVar[str] = "inbound_error"
    http_status: ClassVar[int] = 400

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class NotJsonError(InboundError):
    """The bytes are not UTF-8, not JSON, or nested beyond reason."""

    code: ClassVar[str] = "not_json"


class NotAnEnvelopeError(InboundError):
    """It is not JSON, or not an envelope of WhatsApp's."""

    code: ClassVar[str] = "not_an_envelope"


class MalformedError(InboundError):
    """One message or status lacks what every one has. Its neighbours are not concerned."""

    code: ClassVar[str] = "malformed"
