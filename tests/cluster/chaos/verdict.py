"""What has to hold after any number of kills, checked from both ledgers. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

# From the deadline to the consumer's line: the way to it, and what else the machine did.
_TOLERANCE_S = 2.0


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
    """What the consumer was handed, and when."""

    at: float
    id: str
    redelivered: bool


class Effect(NamedTuple):
    """What it did; the moment is just before the commit."""

    at: float
    id: str


class Evidence(NamedTuple):
    """Everything that is known at the end.

    Attributes:
        sent: in the order of each key's numbers.
        delivered: in the order of time.
        expired: ids that the journal says have expired, and when that was written.
        other_ends: ids that ended otherwise than acknowledged or expired.
        waiting: messages in the journal without an end.
        outages: from when to when nothing may have been deliverable, so that nothing aged.
    """

    sent: Sequence[Sent]
    delivered: Sequence[Delivered]
    effects: Sequence[Effect]
    expired: dict[str, float]
    other_ends: Sequence[str]
    waiting: int
    outages: Sequence[tuple[float, float]]


def faults(evidence: Evidence) -> list[str]:
    """Everything that should not have been, in words."""
    return [
        *_lost_or_doubled(evidence),
        *_out_of_order(evidence),
        *_late(evidence),
        *(f"{one} ended in the dead-letter queue" for one in evidence.other_ends),
        *([f"{evidence.waiting} messages still wait"] if evidence.waiting else []),
    ]


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
    """A message may come again, said to be, but none before those ahead of it in its key have had their effect."""
    by_key: dict[str, list[Sent]] = {}
    for one in evidence.sent:
        by_key.setdefault(one.key, []).append(one)
    effect_at = {effect.id: effect.at for effect in evidence.effects}
    # The moment after which everything ahead of a message was done; what expired never has to be.
    open_from: dict[str, float] = {}
    for ordered in by_key.values():
        done = 0.0
        for one in ordered:
            open_from[one.id] = done
            if one.id in effect_at and one.id not in evidence.expired:
                done = max(done, effect_at[one.id])
    seen: set[str] = set()
    for delivery in evidence.delivered:
        if delivery.at < open_from.get(delivery.id, 0):
            # An earlier one of its key has its effect later, though this one was handed out before.
            yield f"{delivery.id} was delivered before one that came ahead of it was done"
        if delivery.id in seen and not delivery.redelivered:
            yield f"{delivery.id} was delivered again and not said to be"
        seen.add(delivery.id)


def _late(evidence: Evidence) -> Iterable[str]:
    known = {one.id: one for one in evidence.sent}
    for delivery in evidence.delivered:
        if delivery.at > evidence.expired.get(delivery.id, float("inf")):
            yield f"{delivery.id} was delivered after it had been found expired"
        one = known.get(delivery.id)
        if one is None or one.ttl_ms is None or one.confirmed_at is None:
            continue
        aged_s = delivery.at - one.confirmed_at - _overlap_s(evidence.outages, one.confirmed_at, delivery.at)
        if aged_s > one.ttl_ms / 1000 + _TOLERANCE_S:
            yield f"{delivery.id} was delivered {aged_s - one.ttl_ms / 1000:.2f} s after its expiry"


def _overlap_s(outages: Sequence[tuple[float, float]], since: float, until: float) -> float:
    """How much of a time lies in outages, which may overlap."""
    covered, reached = 0.0, since
    for begun, over in sorted(outages):
        begins, ends = max(begun, reached), min(over, until)
        if ends > begins:
            covered += ends - begins
            reached = ends
    return covered
