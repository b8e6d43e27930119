"""From what the journal answers to messages. A damaged row is read as well, and told as such: it harms itself alone."""

from typing import Any

from actors.mailbox.journal import Row
from actors.mailbox.limits import LATEST_S
from actors.mailbox.message import HeaderValue, Message
from actors.mailbox.redriven import DAY_S, plain_id, published_day
from actors.mailbox.rows import checksum, decode_headers, message_of, seal, stamp
from actors.mailbox.selection import Peeked

_NO_BEFORE = 0.0


def row_of(row: Any, queue: str) -> Row:
    """A row of the statements that load, from this queue."""
    message = _intact(row, queue)
    intact = message is not None
    if message is None:
        message = _damaged(row, {}, row[15])
    if row[11] is None:
        return Row(row[8], message, intact, row[10], 0, 0, _NO_BEFORE, 0.0, row[15])
    return Row(row[8], message, intact, row[10], row[11], row[12], row[13], row[14], row[15], tried=True)


def peeked_of(row: Any) -> Peeked:
    """A row of the statement that peeks, whose body is not whole, so that nothing proves it."""
    try:
        headers = decode_headers(row[4])
    except ValueError:
        headers = {}
    message = _damaged(row, headers, row[13])
    return Peeked(row[8], message, row[9], row[10], row[11], row[12], row[13])


def _intact(row: Any, queue: str) -> Message | None:
    summed, sealed = checksum(row[0], row[1], row[4], row[3]), row[16]
    if summed != row[9]:
        return None
    try:
        message = message_of(row)
        intact = published_day(message) == row[15] and (
            _can_be(message) if sealed is None else seal(summed, message) ^ stamp(queue) == sealed
        )
    except (ValueError, OverflowError):  # nothing that the mailbox wrote, or a time that is none
        return None
    return message if intact else None


def _can_be(message: Message) -> bool:
    """Whether a row of before there was a seal is one that was accepted once."""
    return 0 <= message.published_at < LATEST_S and 0 <= message.priority <= 9 and message.ttl_ms != 0


def _damaged(row: Any, headers: dict[str, HeaderValue], day: int) -> Message:
    """As far as it can be read, with a time that all can be told of."""
    at = row[5] if 0 <= row[5] < LATEST_S else float(day * DAY_S)
    return Message(plain_id(row[0]), row[1], row[2], row[3], headers, at, row[6], row[7])
