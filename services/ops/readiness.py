"""Whether the parts behind the API can do their work, asked at most once in a while however many want to know."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from itertools import count
from typing import Any, Protocol

from actors.shards.placement import SHARDS
from actors.shards.probe import PROBE
from actors.shards.unit import UnitCall, UnitOutcome
from kernel.errors import SpazaError
from services.ops.mailbox_health import mailbox_faults

_LIMIT_S, _PROBE_S = 2.5, 1.5
# Apart, so that they are likely on two servers where there are several.
_APART = 13


class ProbedShards(Protocol):
    """The shards, for who wants to know whether they commit."""

    async def run(self, calls: list[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        """An outcome for each call."""


class Readiness:
    """Knows for a moment what it was told, and asks once for all who ask at the same time.

    Two shards are asked to commit, others each time; that one of many does not answer harms its tenants alone.

    Args:
        mailboxes: gives the figures of the queues.
        shards: runs units.
        consumed: the queues that have a consumer.
        fresh_s: for how long an answer is given again.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        mailboxes: Callable[[], Awaitable[Mapping[str, Mapping[str, Any]]]],
        shards: ProbedShards,
        consumed: Collection[str],
        *,
        fresh_s: float = 2.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._mailboxes, self._shards, self._consumed = mailboxes, shards, consumed
        self._fresh_s, self._clock = fresh_s, clock
        self._turns = count()
        self._known: tuple[float, dict[str, list[str]]] | None = None
        self._asking: asyncio.Task[dict[str, list[str]]] | None = None

    async def faults(self) -> Mapping[str, list[str]]:
        """By part, what is wrong with it; an empty list where nothing is."""
        if self._known is not None and self._now() - self._known[0] < self._fresh_s:
            return self._known[1]
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        # Who asks may go away; the others still want to know.
        return await asyncio.shield(self._asking)

    async def _ask(self) -> dict[str, list[str]]:
        try:
            mailboxes, shards = await asyncio.gather(self._ask_mailboxes(), self._ask_shards())
            answer = {"mailboxes": mailboxes, "shards": shards}
            self._known = (self._now(), answer)
            return answer
        finally:
            self._asking = None

    async def _ask_mailboxes(self) -> list[str]:
        try:
            async with asyncio.timeout(_LIMIT_S):
                return mailbox_faults(await self._mailboxes(), consumed=self._consumed)
        except (SpazaError, TimeoutError) as error:
            return [f"do not answer: {type(error).__name__}"]

    async def _ask_shards(self) -> list[str]:
        first = next(self._turns) % SHARDS
        calls = [UnitCall(PROBE, shard, "", None) for shard in (first, (first + _APART) % SHARDS)]
        try:
            async with asyncio.timeout(_LIMIT_S):
                outcomes = await self._shards.run(calls, timeout_s=_PROBE_S)
        except (SpazaError, TimeoutError) as error:
            return [f"do not answer: {type(error).__name__}"]
        errors = [outcome.error for outcome in outcomes]
        if any(error is None for error in errors):
            return []
        return [
            f"{call.shard:02d} does not commit: {type(error).__name__}"
            for call, error in zip(calls, errors, strict=True)
        ]

    def _now(self) -> float:
        return asyncio.get_running_loop().time() if self._clock is None else self._clock()
