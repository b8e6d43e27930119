"""What has to hold after any number of kills, checked from both ledgers. Pure.

Whether a message was delivered after its expiry is asked of what can be seen from outside, not of when something was
killed: one outage follows the other so closely that with some allowance before and after each all of the time would
count as one, and no message as late.

A message does not age while its partition delivers nothing, so what is longer than a moment between two deliveries of
its partition is taken away. And an owner that crashes takes along what the age clock counted since it was last kept in
the journal, a tick ago at most; the next one goes on from there. So with each crash a message may become younger by so
much, though not younger than new: while it waits for its time to live it may be delivered for that once more. That the
clock itself goes on, and is not lost with a crash, is seen from its last reading.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from actors.mailbox.ownership import OwnershipPolicy

# From the deadline to the consumer's line: the way to it, and what else the machine did.
_TOLERANCE_S = 1.5
# A partition that delivers has this between two deliveries, or less.
_MOMENT_S = 0.5
# What a crash takes along of the age clock: from one tick to the end of the next.
_GIVEN_BACK_S = OwnershipPolicy().tick_s + 0.6


class Sent(NamedTuple):
    """A message of the publisher's ledger."""

    key: str
    number: int
    ttl_ms: int | None
    confirmed_at: float | None

    @property
    def id(self) -> str:
        return f"{self.key}-{self.number}"


class Delivered(NamedTuple):
    """What the consumer was handed, when, and with what: ``batch`` names the call, or is empty for one by itself."""

    at: float
    id: str
    redelivered: bool
    partition: int = 0
    batch: str = ""


class Effect(NamedTuple):
    """What it did; the moment is just before the commit."""

    at: float
    id: str


class Evidence(NamedTuple):
    """Everything that is known at the end.

    Attributes:
        sent: in the order of each key's numbers.
        delivered: in the order of time, and within a call in that of its messages.
        effects: in the order in which they were written.
        expired: ids that the journal says have expired, and when that was written.
        other_ends: ids that ended otherwise than acknowledged or expired.
        waiting: messages in the journal without an end.
        crashes: from when to when an owner was killed, or the node with it; each may change the owner once.
        clocks: the age clock of each partition at the end.
        key_run: messages of one key that a call may carry. If that is more than one, some should have.
        stall_s: so long the machine let a process wait that had something to do.
    """

    sent: Sequence[Sent]
    delivered: Sequence[Delivered]
    effects: Sequence[Effect]
    expired: dict[str, float]
    other_ends: Sequence[str]
    waiting: int
    crashes: Sequence[tuple[float, float]]
    clocks: dict[int, float]
    key_run: int = 1
    stall_s: float = 0.0


def faults(evidence: Evidence) -> list[str]:
    """Everything that should not have been, in words."""
    return [
        *_lost_or_doubled(evidence),
        *_out_of_order(evidence),
        *_done_out_of_order(evidence),
        *_wrong_runs(evidence),
        *_late(evidence),
        *_clock_lost(evidence),
        *(f"{one} ended in the dead-letter queue" for one in evidence.other_ends),
        *([f"{evidence.waiting} messages still wait"] if evidence.waiting else []),
    ]


def runs(evidence: Evidence) -> Counter[int]:
    """How often so many messages of a key came in one call, for more than one."""
    key_of = {one.id: one.key for one in evidence.sent}
    together = Counter((one.batch, key_of.get(one.id, "")) for one in evidence.delivered if one.batch)
    return Counter(times for times in together.values() if times > 1)


def _lost_or_doubled(evidence: Evidence) -> Iterable[str]:
    known = {one.id: one for one in evidence.sent}
    effects: dict[str, int] = {}
    for effect in evidence.effects:
        effects[effect.id] = effects.get(effect.id, 0) + 1
    for one in evidence.sent:
        if one.confirmed_at is None:
            yield f"{one.id} was never confirmed"
        elif one.id not in effects and one.id not in evidence.expired:
            yield f"{one.id} was confirmed and never handled"
        elif one.id in evidence.expired and one.ttl_ms is None:
            yield f"{one.id} expired and had no time to live"
    for name, times in effects.items():
        if times > 1:
            yield f"{name} had its effect {times} times"
        if name not in known:
            yield f"{name} was handled and never sent"


def _out_of_order(evidence: Evidence) -> Iterable[str]:
    """A message may come again, said to be, but none before those ahead of it in its key have had their effect.

    Or they are ahead of it in the same call, which does them in order.
    """
    known = {one.id: one for one in evidence.sent}
    by_key: dict[str, list[Sent]] = {}
    for one in evidence.sent:
        by_key.setdefault(one.key, []).append(one)
    effect_at = {effect.id: effect.at for effect in evidence.effects}
    # When each was done, and the moment after which everything ahead of it was; what expired never has to be.
    done_at = {one.id: 0.0 if one.id in evidence.expired else effect_at.get(one.id, 0.0) for one in evidence.sent}
    open_from: dict[str, float] = {}
    for ordered in by_key.values():
        done = 0.0
        for one in ordered:
            open_from[one.id] = done
            done = max(done, done_at[one.id])
    seen: set[str] = set()
    together: dict[tuple[str, str], list[int]] = {}
    for delivery in evidence.delivered:
        if delivery.id in seen and not delivery.redelivered:
            yield f"{delivery.id} was delivered again and not said to be"
        seen.add(delivery.id)
        handed = known.get(delivery.id)
        if handed is None:
            continue
        ahead = together.setdefault((delivery.batch, handed.key), []) if delivery.batch else []
        if ahead and ahead[-1] >= handed.number:
            yield f"{delivery.id} was delivered behind a later one, in one call"
        first = min(ahead, default=handed.number)
        others = [by_key[handed.key][number].id for number in range(first, handed.number) if number not in ahead]
        if delivery.at < max([open_from[by_key[handed.key][first].id], *(done_at[other] for other in others)]):
            # An earlier one of its key has its effect later, though this one was handed out before.
            yield f"{delivery.id} was delivered before one that came ahead of it was done"
        ahead.append(handed.number)


def _done_out_of_order(evidence: Evidence) -> Iterable[str]:
    known = {one.id: one for one in evidence.sent}
    last: dict[str, int] = {}
    for effect in evidence.effects:
        one = known.get(effect.id)
        if one is None:
            continue
        if one.number < last.get(one.key, -1):
            yield f"{one.id} had its effect after a later one of its key"
        last[one.key] = max(one.number, last.get(one.key, -1))


def _wrong_runs(evidence: Evidence) -> Iterable[str]:
    found = runs(evidence)
    for length, times in found.items():
        if length > evidence.key_run:
            yield f"calls carried {length} messages of a key {times} times, and {evidence.key_run} are allowed"
    if evidence.key_run > 1 and not found:
        yield "no call carried more than one message of a key, so nothing is shown of runs"


def _late(evidence: Evidence) -> Iterable[str]:
    known = {one.id: one for one in evidence.sent}
    spans = _spans(evidence.delivered)
    for delivery in evidence.delivered:
        if delivery.at > evidence.expired.get(delivery.id, float("inf")):
            yield f"{delivery.id} was delivered after it had been found expired"
        one = known.get(delivery.id)
        if one is None or one.ttl_ms is None or one.confirmed_at is None:
            continue
        since, until = one.confirmed_at, delivery.at
        ttl_s = one.ttl_ms / 1000
        crashes = sum(begun <= until and over >= since for begun, over in evidence.crashes)
        expiry_s = ttl_s + crashes * min(ttl_s, _GIVEN_BACK_S)
        aged_s = sum(max(0.0, min(over, until) - max(begun, since)) for begun, over in spans[delivery.partition])
        # On its way it goes through several processes, each of which may have waited.
        if aged_s > expiry_s + _TOLERANCE_S + 3 * evidence.stall_s:
            yield f"{delivery.id} was delivered {aged_s - expiry_s:.2f} s after its expiry"


def _clock_lost(evidence: Evidence) -> Iterable[str]:
    for partition, spans in _spans(evidence.delivered).items():
        delivered_s = sum(over - begun for begun, over in spans)
        least_s = delivered_s - (len(evidence.crashes) + 1) * _GIVEN_BACK_S
        if evidence.clocks[partition] < least_s:
            shown = f"{evidence.clocks[partition]:.1f} s after {delivered_s:.1f} s of deliveries"
            yield f"partition-{partition} has an age clock that shows {shown}"


def _spans(delivered: Sequence[Delivered]) -> dict[int, list[tuple[float, float]]]:
    """From when to when each partition surely delivered."""
    spans: dict[int, list[tuple[float, float]]] = {}
    for one in sorted(delivered):
        known = spans.setdefault(one.partition, [(one.at, one.at)])
        begun, over = known[-1]
        if one.at - over <= _MOMENT_S:
            known[-1] = (begun, one.at)
        else:
            known.append((one.at, one.at))
    return spans
