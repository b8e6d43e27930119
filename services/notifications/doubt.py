"""Whether a message may be sent, while Meta knows no idempotency key. Pure.

A message is marked before the call that sends it. One that comes again and is marked may have been sent: then its
status, which carries our id, is awaited for a while before it is sent again. Weakness: if Meta took the message and
no status came in that time, the customer gets it twice; such sends are counted as ``resent``. He never gets it a third
time: if that send is in doubt as well its status is awaited for much longer, and then the message is a dead letter.
"""

from enum import Enum
from typing import NamedTuple

from cache.marks import MarksRead
from services.outgoing.delivery_state import QUEUED


class Recorded(NamedTuple):
    """What the shard knows of an outgoing message.

    Attributes:
        rank: see ``delivery_state``.
        marked_at: Unix seconds of a mark that was written there, because Redis was away or it was sent again.
        resent: whether it has been sent again.
    """

    rank: int
    wamid: str | None
    marked_at: float | None
    resent: bool = False


class DoubtPolicy(NamedTuple):
    """Seconds: how long a status is awaited after the mark, and how long between two looks.

    Attributes:
        await_s: after the first send.
        step_s: between two looks then.
        last_await_s: after the second send; Meta's troubles delay statuses by minutes.
        last_step_s: between two looks then.
    """

    await_s: float = 30.0
    step_s: float = 2.0
    last_await_s: float = 600.0
    last_step_s: float = 15.0


class Act(Enum):
    """What to do with a message."""

    SEND = "send"
    RESEND = "resend"
    """It may go out a second time."""
    GIVE_UP = "give_up"
    """Nobody can tell whether it went out, and it must not go out a third time."""
    WAIT = "wait"
    MARK_AND_WAIT = "mark_and_wait"
    """Nothing says when it may have been sent; the shard is to remember from when on it is in doubt."""
    RECORD = "record"
    """Meta took it, and the shard is to be told of its wamid."""
    SETTLED = "settled"


class Decision(NamedTuple):
    """An act, with the seconds to wait or the wamid to record."""

    act: Act
    delay_s: float = 0.0
    wamid: str = ""


_SEND, _RESEND = Decision(Act.SEND), Decision(Act.RESEND)
_GIVE_UP, _SETTLED = Decision(Act.GIVE_UP), Decision(Act.SETTLED)


def decide(
    message_id: str,
    *,
    published_at: float,
    recorded: Recorded | None,
    marks: MarksRead | None,
    now: float,
    awaiting_since: float,
    policy: DoubtPolicy,
) -> Decision:
    """What to do with a message that was delivered before.

    Args:
        message_id: ours.
        published_at: Unix seconds.
        recorded: what the shard knows; None if it has no such message.
        marks: what Redis knows; None while it is away.
        now: Unix seconds.
        awaiting_since: Unix seconds from when on a status could have come in (``inflow``); time before is no waiting.
        policy: how long to wait.
    """
    if recorded is not None and (recorded.rank > QUEUED or recorded.wamid is not None):
        return _SETTLED
    marked_at = None if recorded is None else recorded.marked_at
    if marks is None:
        if marked_at is None:
            return Decision(Act.MARK_AND_WAIT, policy.step_s)
    else:
        mark = marks.marks.get(message_id)
        if mark is not None and mark.wamid is not None:
            return Decision(Act.RECORD, wamid=mark.wamid)
        in_redis = None if mark is None or mark.at_ms is None else mark.at_ms / 1000
        if in_redis is None and published_at * 1000 < marks.since_ms:
            # Its mark, if it had one, went with all others at that time.
            in_redis = marks.since_ms / 1000
        marked_at = max((at for at in (marked_at, in_redis) if at is not None), default=None)
        if marked_at is None:
            return _SEND
    awaited_from = max(marked_at, awaiting_since)
    if recorded is not None and not recorded.resent:
        left_s = awaited_from + policy.await_s - now
        return _RESEND if left_s <= 0 else Decision(Act.WAIT, min(policy.step_s, left_s))
    # Without a record nothing would count the sends.
    left_s = awaited_from + policy.last_await_s - now
    return _GIVE_UP if left_s <= 0 else Decision(Act.WAIT, min(policy.last_step_s, left_s))
