"""What an operator asks of one mailbox actor, over all of its partitions."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from actors.mailbox.errors import MailboxError
from actors.mailbox.interventions import Interventions, Step
from actors.mailbox.selection import Peeked, Selection, Tally, Which

Action = Literal["redrive", "purge"]
# Each takes a connection of its own to count with.
_COUNTED_AT_ONCE = 8


class Place(NamedTuple):
    """Where to go on: behind this message of this partition."""

    partition: int = 0
    seq: int = 0


class Look(NamedTuple):
    """To see messages, with so much of their bodies."""

    which: Which
    wanted: Selection
    after: Place
    limit: int
    body_bytes: int


class Change(NamedTuple):
    """To put dead letters back, or to settle messages as purged: one commit of one partition, at most."""

    action: Action
    which: Which
    wanted: Selection
    after: Place
    limit: int


class Changed(NamedTuple):
    """What a change did.

    Attributes:
        step: of the one partition that had something to be changed.
        after: where to go on; None if there is no more.
    """

    step: Step
    after: Place | None


class Count(NamedTuple):
    """Counts over the partitions; those that could not be counted are missing, with the reason."""

    tallies: Sequence[Tally]
    missing: Mapping[int, str]


class Operated(Protocol):
    """A partition, for operators."""

    interventions: Interventions

    async def pause(self, *, paused: bool) -> None:
        """Stop or go on delivering, durably; raises ``MailboxError``."""


class Operations:
    """Serves operators. Changes go one after the other, whoever asks for them; looking waits for nobody.

    A pause waits for no change, or it would come too late for what the operator has just begun; pauses go one after the
    other, so that the last one holds.
    """

    def __init__(self, partitions: Mapping[int, Operated]) -> None:
        self._partitions = partitions
        self._changing, self._pausing = asyncio.Lock(), asyncio.Lock()

    async def pause(self, *, paused: bool) -> dict[int, MailboxError]:
        """Stop or go on delivering; the errors of the partitions where that could not be noted."""
        errors: dict[int, MailboxError] = {}

        async def one(number: int, partition: Operated) -> None:
            try:
                await partition.pause(paused=paused)
            except MailboxError as error:
                errors[number] = error

        async with self._pausing:
            await asyncio.gather(*(one(*item) for item in self._partitions.items()))
        return errors

    async def count(self, which: Which, wanted: Selection) -> Count:
        """Count what is selected, by tenant and reason, the most first."""
        turns = asyncio.Semaphore(_COUNTED_AT_ONCE)
        missing: dict[int, str] = {}
        found: list[Tally] = []

        async def one(number: int, partition: Operated) -> None:
            async with turns:
                try:
                    found.extend(await partition.interventions.tally(which, wanted))
                except MailboxError as error:
                    missing[number] = str(error)

        await asyncio.gather(*(one(*item) for item in self._partitions.items()))
        return Count(added(found), missing)

    async def look(self, look: Look) -> list[tuple[int, Peeked]]:
        """See messages, partition by partition, each in the order of its journal; raises ``MailboxError``."""
        seen: list[tuple[int, Peeked]] = []
        for number, after_seq in self._from(look.after):
            found = await self._partitions[number].interventions.peek(
                look.which,
                look.wanted,
                after_seq=after_seq,
                limit=look.limit - len(seen),
                body_bytes=look.body_bytes,
            )
            seen += [(number, one) for one in found]
            if len(seen) >= look.limit:
                break
        return seen

    async def change(self, change: Change) -> Changed:
        """Do the next part of a change; raises ``MailboxError``, after which it may be repeated."""
        async with self._changing:
            for number, after_seq in self._from(change.after):
                step = await self._step_of(number, change)(change.wanted, after_seq=after_seq, limit=change.limit)
                if step.last_seq is not None:
                    return Changed(step, Place(number, step.last_seq))
        return Changed(Step((), None), None)

    def _step_of(self, number: int, change: Change) -> Callable[..., Awaitable[Step]]:
        interventions = self._partitions[number].interventions
        if change.action == "redrive":
            return interventions.redrive
        return interventions.purge_dead if change.which == "dead" else interventions.purge_waiting

    def _from(self, after: Place) -> list[tuple[int, int]]:
        numbers = sorted(number for number in self._partitions if number >= after.partition)
        return [(number, after.seq if number == after.partition else 0) for number in numbers]


def added(tallies: Sequence[Tally]) -> list[Tally]:
    """Tallies with those of the same tenant and reason put together, the most first."""
    together: dict[tuple[str, str, str], Tally] = {}
    for one in tallies:
        known = together.get(one[:3])
        if known is not None:
            one = one._replace(  # noqa: PLW2901 - the sum stands for both
                messages=known.messages + one.messages, oldest_at=min(known.oldest_at, one.oldest_at)
            )
        together[one[:3]] = one
    return sorted(together.values(), key=lambda one: (-one.messages, one))
