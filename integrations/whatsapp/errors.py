"""What can go wrong with a send, told apart by what is to be done next.

WhatsAppError
├── NotSentError             nothing left this machine: send it again whenever you like
├── UnsendableError          no request can be made of it: nothing left this machine, and never will
├── DoubtfulSendError        it may have been sent: await its status before sending it again
├── InterceptedError         something before Meta refused it: try again, but not for ever
└── RefusedSendError         Meta answered, and did not take it
    ├── ThrottledError       too fast: wait retry_after_s
    ├── TransientError       Meta's own trouble: try again later
    ├── AuthError            the token or a permission: nothing of this merchant will go out
    └── PermanentError       this message will never be taken
"""

from typing import ClassVar

from kernel.errors import SpazaError


class WhatsAppError(SpazaError):
    """Anything that the Graph API client raises."""

    code: ClassVar[str] = "whatsapp_error"
    http_status: ClassVar[int] = 502


class NotSentError(WhatsAppError):
    """No connection could be made or had, so Meta saw nothing of it."""

    code: ClassVar[str] = "whatsapp_not_sent"
    retryable: ClassVar[bool] = True

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause

    def __str__(self) -> str:
        return f"the Graph API could not be reached: {self.cause}"


class UnsendableError(WhatsAppError):
    """No request can be made of what was given, such as an access token with a line break in it."""

    code: ClassVar[str] = "whatsapp_unsendable"

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause

    def __str__(self) -> str:
        return f"no request to the Graph API can be made of it: {self.cause}"


class DoubtfulSendError(WhatsAppError):
    """The request went out, in whole or in part, and no answer tells what became of it."""

    code: ClassVar[str] = "whatsapp_send_in_doubt"
    http_status: ClassVar[int] = 504

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause

    def __str__(self) -> str:
        return f"it is not known whether the Graph API took the message: {self.cause}"


class InterceptedError(WhatsAppError):
    """Something before Meta, such as a proxy, answered with a page of its own that refuses the request."""

    code: ClassVar[str] = "whatsapp_intercepted"
    retryable: ClassVar[bool] = True

    def __init__(self, http_status_seen: int) -> None:
        super().__init__(http_status_seen)
        self.http_status_seen = http_status_seen

    def __str__(self) -> str:
        return f"something before the Graph API refused the message with HTTP {self.http_status_seen}"


class RefusedSendError(WhatsAppError):
    """Meta answered with an error.

    Attributes:
        error_code: Graph's ``error.code``; see ``classification``.
        http_status_seen: the status it came with, which Meta says not to build on.
        retry_after_s: how long Meta asks to wait; None where it says nothing.
    """

    code: ClassVar[str] = "whatsapp_refused"

    def __init__(self, error_code: int, http_status_seen: int, retry_after_s: float | None = None) -> None:
        super().__init__(error_code, http_status_seen, retry_after_s)
        self.error_code = error_code
        self.http_status_seen = http_status_seen
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"the Graph API refused the message with error {self.error_code} (HTTP {self.http_status_seen})"


class ThrottledError(RefusedSendError):
    """A rate was exceeded: of the app, the number, or the pair of number and recipient."""

    code: ClassVar[str] = "whatsapp_throttled"
    http_status: ClassVar[int] = 429
    retryable: ClassVar[bool] = True


class TransientError(RefusedSendError):
    """Meta is in trouble or in maintenance."""

    code: ClassVar[str] = "whatsapp_transient"
    http_status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True


class AuthError(RefusedSendError):
    """The access token is invalid, lacks a permission, or the business is blocked."""

    code: ClassVar[str] = "whatsapp_auth"


class PermanentError(RefusedSendError):
    """The message is wrong, or may not be sent to this recipient."""

    code: ClassVar[str] = "whatsapp_permanent"
