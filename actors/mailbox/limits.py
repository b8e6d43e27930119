"""What a message may be, so that the journal can hold it. Pure."""

from collections.abc import Sequence

from actors.mailbox.errors import InvalidMessageError
from actors.mailbox.message import Message

LONGEST_TEXT = 500


def check(messages: Sequence[Message]) -> None:
    """Refuse what the journal cannot hold, before it spoils a batch that others ride in.

    Raises:
        InvalidMessageError: naming the fault.
    """
    for message in messages:
        texts = (message.id, message.key, message.tenant)
        if not message.id or max(len(text) for text in texts) > LONGEST_TEXT:
            raise InvalidMessageError(f"id, key and tenant have at most {LONGEST_TEXT} characters, the id at least one")
        if any("\0" in text or not (text.isascii() or _is_encodable(text)) for text in texts):
            raise InvalidMessageError("id, key and tenant are text without NUL and lone surrogates")
        if not 0 <= message.priority <= 9 or (message.ttl_ms is not None and not 1 <= message.ttl_ms < 1 << 31):
            raise InvalidMessageError("priority is 0 to 9, ttl_ms at least 1")


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
