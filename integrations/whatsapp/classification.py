"""Which of Graph's error codes means what.

Meta says to build on the code, not on the HTTP status, the title or the subcode.
A code that is not listed here is permanent, unless it came with a 5xx, ``is_transient`` or a 429.

Source: developers.facebook.com, WhatsApp Business Platform, "Error codes", as of December 2025.
"""

from integrations.whatsapp.errors import AuthError, PermanentError, RefusedSendError, ThrottledError, TransientError

PAIR_RATE_LIMIT = 131056

_AUTH = frozenset({0, 3, 10, 190, 368, 131005, 131031, *range(200, 300)})
_THROTTLE = frozenset({4, 80007, 80009, 80014, 130429, 131048, PAIR_RATE_LIMIT, 131064, 133016})
_TRANSIENT = frozenset({1, 2, 131000, 131016, 131057, 133004})
# They may come with a 5xx and are the merchant's to mend all the same. 130497 is of the recipient's country: the number
# may write to all others.
_PERMANENT = frozenset({33, 100, 130497, 131008, 131009, 131021, 131026, 131045, 131047})


def classify(error_code: int, http_status: int, *, is_transient: bool = False) -> type[RefusedSendError]:
    """The kind of a refusal.

    Args:
        error_code: ``error.code`` of Graph's answer.
        http_status: the status that it came with.
        is_transient: ``error.is_transient``, where Graph gives it.
    """
    if error_code in _THROTTLE or http_status == 429:
        return ThrottledError
    if error_code in _AUTH:
        return AuthError
    if error_code in _PERMANENT:
        return PermanentError
    if error_code in _TRANSIENT or is_transient or http_status >= 500:
        return TransientError
    return PermanentError
