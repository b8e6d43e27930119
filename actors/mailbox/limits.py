"""What a message may be, so that the journal can hold it. Pure."""

import math
from collections.abc import Sequence

from actors.mailbox.errors import InvalidMessageError
from actors.mailbox.message import Message
from actors.mailbox.rows import encode_headers

LONGEST_TEXT = 500
LARGEST_BODY_BYTES = 4_000_000
LARGEST_HEADERS_BYTES = 16_384
# Beyond that milliseconds are meant.
_LATEST_S = 32_000_000_000.0


def check(messages: Sequence[Message]) -> None:
    """Refuse what the journal cannot hold, before it spoils a batch that others ride in.

    Raises:
        InvalidMessageError: naming the field.
    """
    for message in messages:
        for field, text in (("id", message.id), ("key", message.key), ("tenant", message.tenant)):
            _check_text(field, text)
        if not message.id:
            raise InvalidMessageError("id must not be empty")
        if not 0 <= message.priority <= 9:
            raise InvalidMessageError(f"priority is 0 to 9, not {message.priority}")
        if message.ttl_ms is not None and not 1 <= message.ttl_ms < 1 << 31:
            raise InvalidMessageError(f"ttl_ms is at least 1 and below 2^31, not {message.ttl_ms}")
        if not math.isfinite(message.published_at) or not 0 <= message.published_at < _LATEST_S:
            raise InvalidMessageError(f"published_at is in Unix seconds, not {message.published_at}")
        if len(message.body) > LARGEST_BODY_BYTES:
            raise InvalidMessageError(f"body has at most {LARGEST_BODY_BYTES} bytes, not {len(message.body)}")
        if message.headers:
            _check_headers(message)


def _check_text(field: str, text: str) -> None:
    if len(text) > LONGEST_TEXT:
        raise InvalidMessageError(f"{field} has at most {LONGEST_TEXT} characters, not {len(text)}")
    if "\0" in text or not (text.isascii() or _is_encodable(text)):
        raise InvalidMessageError(f"{field} is text without NUL and lone surrogates")


def _check_headers(message: Message) -> None:
    try:
        size_bytes = len(encode_headers(message))
    except TypeError as error:
        raise InvalidMessageError(f"headers: {error}; they are JSON of text and whole numbers") from error
    if size_bytes > LARGEST_HEADERS_BYTES:
        raise InvalidMessageError(f"headers have at most {LARGEST_HEADERS_BYTES} bytes as JSON, not {size_bytes}")


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
