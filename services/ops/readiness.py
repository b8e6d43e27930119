"""Whether the parts behind the API can do their work, asked at most once in a while however many want to know."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, NamedTuple

from actors.shards.placement import SHARDS
from kernel.errors import SpazaError
from services.ops.mailbox_health import mailbox_faults
from services.ops.shard_health import ProbedShards, in_words, silent_shards

_PROBE_S = 1.5
FaultsOf = Callable[[], Awaitable[list[str]]]


class PartState(NamedTuple):
    """What is wrong with a part, so that nothing goes, and what is wrong in it, so that something does not."""

    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "; ".join(self.faults) or "ok" + "".join(f"; but {one}" for one in self.remarks)


class Readiness:
    """Knows for a moment what it was told, and asks once for all who ask at the same time.

    All shards are asked to commit. That one of many does not harms its tenants alone: it is said, and the whole is
    ready. No part is waited for longer than a moment.

    Args:
        mailboxes: gives the figures of the queues.
        shards: runs units.
        consumed: the queues that have a consumer.
        others: by part, what says what is wrong with it; an empty list where nothing is.
        fresh_s: for how long an answer is given again.
        limit_s: for how long a part is waited for.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        mailboxes: Callable[[], Awaitable[Mapping[str, Mapping[str, Any]]]],
        shards: ProbedShards,
        consumed: Collection[str],
        others: Mapping[str, FaultsOf],
        *,
        fresh_s: float = 1.0,
        limit_s: float = 2.5,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._mailboxes, self._shards, self._consumed, self._others = mailboxes, shards, consumed, dict(others)
        self._fresh_s, self._limit_s, self._clock = fresh_s, limit_s, clock
        self._known: tuple[float, dict[str, PartState]] | None = None
        self._asking: asyncio.Task[dict[str, PartState]] | None = None

    async def parts(self) -> Mapping[str, PartState]:
        """How each part is."""
        if self._known is not None and self._now() - self._known[0] < self._fresh_s:
            return self._known[1]
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        # Who asks may go away; the others still want to know.
        return await asyncio.shield(self._asking)

    async def _ask(self) -> dict[str, PartState]:
        questions: dict[str, Callable[[], Awaitable[PartState]]] = {
            "mailboxes": self._ask_mailboxes,
            "shards": self._ask_shards,
            **{name: _faults_alone(faults) for name, faults in self._others.items()},
        }
        try:
            states = await asyncio.gather(*(self._in_time(question) for question in questions.values()))
            answer = dict(zip(questions, states, strict=True))
            self._known = (self._now(), answer)
            return answer
        finally:
            self._asking = None

    async def _in_time(self, question: Callable[[], Awaitable[PartState]]) -> PartState:
        try:
            async with asyncio.timeout(self._limit_s):
                return await question()
        except (SpazaError, TimeoutError) as error:
            return PartState((f"does not answer: {type(error).__name__}",))

    async def _ask_mailboxes(self) -> PartState:
        return PartState(tuple(mailbox_faults(await self._mailboxes(), consumed=self._consumed)))

    async def _ask_shards(self) -> PartState:
        silent = await silent_shards(self._shards, _PROBE_S)
        said = tuple(filter(None, (in_words(silent),)))
        return PartState(faults=said) if len(silent) == SHARDS else PartState(remarks=said)

    def _now(self) -> float:
        return asyncio.get_running_loop().time() if self._clock is None else self._clock()


def _faults_alone(faults: FaultsOf) -> Callable[[], Awaitable[PartState]]:
    async def ask() -> PartState:
        return PartState(tuple(await faults()))

    return ask
