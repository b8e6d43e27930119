"""A dead letter put back into its queue: the same message for its consumer, another row for the journal. Pure.

The journal knows a message by id and day, so that publishing it again has no effect. What is put back has to get past
that, and past it once more should it die again. So its row bears the id with the number of the redrive behind it,
which no consumer sees, and stands under the day of the redrive, so that it is kept for as long as any other.
"""

from collections.abc import Mapping

from actors.mailbox.deaths import died_before, published_at_death
from actors.mailbox.exchange import addressed
from actors.mailbox.message import HeaderValue, Message

COUNT, AT = "x-redriven", "x-redriven-at"
OWN = frozenset({COUNT, AT})
MOST = 99
DAY_S = 86_400
_MARK = "\x1f"
# Of its last death; how it died first is kept.
_OVER = frozenset({"x-last-death-queue", "x-last-death-reason", "x-last-death-exchange", "x-death-detail"})


def redriven(letter: Message, now: float) -> Message:
    """The message as it goes back into its queue.

    Args:
        letter: as it stands in the dead-letter queue.
        now: Unix seconds.
    """
    headers = {name: value for name, value in letter.headers.items() if name not in _OVER}
    back = letter._replace(headers={**headers, COUNT: redrives(letter) + 1, AT: int(now)})
    address = published_at_death(letter)
    return back if address is None else addressed(back, *address)


def never_redriven(message: Message) -> Message:
    """A message as it is published: whatever headers its publisher took over from another, it was never put back."""
    if OWN.isdisjoint(message.headers):
        return message
    return message._replace(headers={name: of for name, of in message.headers.items() if name not in OWN})


def renamed(letter: Message, earlier: Mapping[str, HeaderValue]) -> Message:
    """A dead letter under the next name, for an earlier one that is settled has its own.

    Args:
        letter: as it would stand in the dead-letter queue.
        earlier: headers of the one that is settled.
    """
    return died_before(letter._replace(headers={**letter.headers, COUNT: redrives(letter) + 1}), earlier)


def redrives(message: Message) -> int:
    """How often a message was put back, with those letters of it that others had gone before."""
    return _number(message.headers, COUNT)


def stored_id(message: Message) -> str:
    """The id of a message's row."""
    if COUNT not in message.headers:
        return message.id
    return f"{message.id}{_MARK}{_number(message.headers, COUNT)}"


def message_id(stored: str, headers: Mapping[str, HeaderValue]) -> str:
    """The id of a row's message."""
    return stored.removesuffix(f"{_MARK}{_number(headers, COUNT)}") if COUNT in headers else stored


def plain_id(stored: str) -> str:
    """The id of a row's message, where its headers are not at hand."""
    plain, mark, count = stored.rpartition(_MARK)
    return plain if mark and count.isdigit() else stored


def stored_ids(plain: str) -> list[str]:
    """All ids that rows of a message can have."""
    return [plain, *(f"{plain}{_MARK}{count}" for count in range(1, MOST + 1))]


def published_day(message: Message) -> int:
    """Days since 1970-01-01 UTC: the time partition, the same however often a publisher repeats itself."""
    at = _number(message.headers, AT) if AT in message.headers else message.published_at
    return int(at // DAY_S)


def _number(headers: Mapping[str, HeaderValue], name: str) -> int:
    value = headers.get(name, 0)
    return value if isinstance(value, int) else 0
