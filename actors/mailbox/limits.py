"""What a message may be, so that the journal can hold it. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from actors.mailbox.errors import InvalidMessageError
from actors.mailbox.message import Message
from actors.mailbox.redriven import OWN
from actors.mailbox.rows import encode_headers

LONGEST_TEXT = 500
LARGEST_BODY_BYTES = 4_000_000
LARGEST_HEADERS_BYTES = 16_384
# Beyond that milliseconds are meant.
LATEST_S = 32_000_000_000.0
_PLAIN = (str, int)


def check(messages: Sequence[Message], headers_bytes: int = LARGEST_HEADERS_BYTES) -> None:
    """Refuse what the journal cannot hold, before it spoils a batch that others ride in.

    Other programs publish too, and no type checker has seen all of them: nothing is taken for what it should be.

    Args:
        messages: as they are published.
        headers_bytes: that the headers may have as JSON.

    Raises:
        InvalidMessageError: naming the field, and what to do.
    """
    if isinstance(messages, Message):
        raise InvalidMessageError("messages are a list, not one Message; put it into brackets")
    for message in messages:
        if not isinstance(message, Message):
            raise InvalidMessageError(f"a message is a Message, not {_kind(message)}; make it with Message.new")
        if not (_is_plain(message.id) and _is_plain(message.key) and _is_plain(message.tenant)):
            for field, text in (("id", message.id), ("key", message.key), ("tenant", message.tenant)):
                check_text(field, text)
        if not message.id:
            raise InvalidMessageError("id must not be empty; Message.new gives one")
        _check_numbers(message)
        _check_body(message.body)
        if message.headers != {}:
            _check_headers(message, headers_bytes)


def check_arrived(messages: Sequence[Message]) -> None:
    """Refuse at the owner what did not come through a handle. What a handle has put into the headers is let pass.

    What it leaves out is not: a row's name and day follow from headers that the mailbox alone writes.
    """
    check(messages, 2 * LARGEST_HEADERS_BYTES)
    for message in messages:
        if not OWN.isdisjoint(message.headers):
            name = min(OWN & message.headers.keys())
            raise InvalidMessageError(f"headers: {name!r} is for what an operator has put back; leave it out")


def check_text(field: str, text: Any) -> None:
    """Refuse what is no text that a column can hold; raises as ``check``."""
    if _is_plain(text):
        return
    if not isinstance(text, str):
        remedy = "write '' for none" if text is None else "make text of it, as by str()"
        raise InvalidMessageError(f"{field} is text, not {_kind(text)}; {remedy}")
    if len(text) > LONGEST_TEXT:
        raise InvalidMessageError(f"{field} has at most {LONGEST_TEXT} characters, not {len(text)}")
    if "\0" in text or not (text.isascii() or _is_encodable(text)):
        raise InvalidMessageError(f"{field} is text without NUL and lone surrogates; leave them out")


def _check_numbers(message: Message) -> None:
    priority, ttl_ms = message.priority, message.ttl_ms
    at: Any = message.published_at
    if type(priority) is int and 0 <= priority <= 9 and ttl_ms is None and type(at) is float and 0 <= at < LATEST_S:
        return  # as nearly all are
    if not _is_whole(priority) or not 0 <= priority <= 9:
        raise InvalidMessageError(f"priority is a whole number from 0 to 9, not {_shown(priority)}")
    if ttl_ms is not None and not (_is_whole(ttl_ms) and 1 <= ttl_ms < 1 << 31):
        rule = "ttl_ms is a whole number, at least 1 and below 2^31, or None for no limit of its own"
        raise InvalidMessageError(f"{rule}, not {_shown(ttl_ms)}")
    if not (isinstance(at, float) or _is_whole(at)) or not 0 <= at < LATEST_S:
        raise InvalidMessageError(f"published_at is in Unix seconds, as time.time() gives them, not {_shown(at)}")


def _check_body(body: Any) -> None:
    if not isinstance(body, bytes):
        remedy = "encode it, as by .encode()" if isinstance(body, str) else "make bytes of it"
        raise InvalidMessageError(f"body is bytes, not {_kind(body)}; {remedy}")
    if len(body) > LARGEST_BODY_BYTES:
        raise InvalidMessageError(f"body has at most {LARGEST_BODY_BYTES} bytes, not {len(body)}")


def _check_headers(message: Message, most_bytes: int) -> None:
    if not isinstance(message.headers, dict):
        raise InvalidMessageError(f"headers are a dict, not {_kind(message.headers)}; write {{}} for none")
    try:
        size_bytes = len(encode_headers(message))
    except (TypeError, RecursionError) as error:
        raise InvalidMessageError(f"headers: {error}; they are JSON of text and whole numbers") from error
    if size_bytes > most_bytes:
        raise InvalidMessageError(f"headers have at most {most_bytes} bytes as JSON, not {size_bytes}")
    for name, value in message.headers.items():
        if type(value) not in _PLAIN and (found := _strange(value)):
            raise InvalidMessageError(
                f"headers: {name!r:.100} has {found} in it; they are JSON of text and whole numbers, so make one of it"
            )


def _strange(value: Any) -> str:
    """What in a header's value would come back as something else, or as nothing; empty for none."""
    if isinstance(value, str | int):
        return ""
    if isinstance(value, Mapping):
        return next(filter(None, map(_strange, value.values())), "")
    if isinstance(value, list | tuple):
        return next(filter(None, map(_strange, value)), "")
    return _kind(value)


def _is_plain(text: Any) -> bool:
    """Whether it is text that is right at first sight, as nearly all is."""
    return type(text) is str and len(text) <= LONGEST_TEXT and text.isascii() and "\0" not in text


def _is_whole(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: Any) -> str:
    try:
        return f"{value!r:.100}"
    except ValueError:  # Python writes out no number of more than some thousand digits
        return "a number without end"


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__name__
