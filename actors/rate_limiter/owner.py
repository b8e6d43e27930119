"""The owner of some tenants' counters: decides, has them written, forgets what nobody needs. Knows no Ray."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from actors.rate_limiter.clock import Instant, SteadyClock
from actors.rate_limiter.decision import Resets, decided
from actors.rate_limiter.keys import Pair
from actors.rate_limiter.ledger import Check, Earlier, Ledger, Verdict
from actors.rate_limiter.store import CounterStore, WriteBehind
from actors.rate_limiter.usage import usage_document
from actors.rate_limiter.way import CHECK_S
from telemetry.log import get_logger

CAPACITY: Final = 200_000
_TOP_TENANTS: Final = 10
_LAST_WRITE_S: Final = 2.0
# Callers wait so long for an answer before they have it counted aside; ``sweep`` comes more often.
_SILENCE_S: Final = CHECK_S
_REDIS: Final = ("writes", "failed_writes", "failed_reads", "read_late")
_log = get_logger("rate_limiter")


class Verdicts(NamedTuple):
    """A batch, decided: a verdict for each check in order, all of one moment."""

    resets: Resets
    verdicts: list[Verdict]


class Owner:
    """Decides a batch in one go between two awaits, in the order in which batches have come. For one event loop."""

    def __init__(
        self,
        limiters: int,
        store: CounterStore,
        *,
        capacity: int = CAPACITY,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with nothing in memory, where an event loop runs.

        Args:
            limiters: how many owners there are.
            store: of the counters; closed by ``stop``.
            capacity: counters in memory at most.
            wall: Unix seconds.
            monotonic: seconds that only go up.
        """
        self._limiters, self._store, self._wall, self._monotonic = limiters, store, wall, monotonic
        self._clock, self._ledger = SteadyClock(), Ledger(capacity)
        self._writing = WriteBehind(self._ledger, store, self._now)
        self._loading: dict[Pair, asyncio.Future[None]] = {}
        self._totals: Counter[str] = Counter()
        self._ends = False
        self._awake_at = monotonic()
        self.by_route: Counter[tuple[str, str]] = Counter()

    async def decide(self, checks: Sequence[Check], limiters: int) -> Verdicts | None:
        """Decide a batch.

        Args:
            checks: in any number, of tenants that fall to this owner.
            limiters: how many owners the caller thinks that there are.

        Returns:
            None where this one decides nothing any more, or the caller thinks wrongly.
        """
        if limiters != self._limiters:
            return None
        self._look_back()
        while unknown := self._ledger.unknown(checks):
            await self._begin(unknown, checks)
            self._look_back()
        if self._ends:
            return None
        now = self._now()
        verdicts = [self._ledger.decide(check, now) for check in checks]
        self._ledger.sweep(now)
        self._writing.changed()
        self._count(checks, verdicts)
        return Verdicts(Resets.at(now), verdicts)

    def sweep(self) -> None:
        """Forget what nobody needs, every two seconds, even if nobody asks."""
        self._look_back()
        self._ledger.sweep(self._now())

    def figures(self) -> dict[str, Any]:
        """Those that cost nothing to tell."""
        ends = {"admitted": 0, "refused": 0}
        for (_, end), number in self.by_route.items():
            ends[end] += number
        return {
            **{name: self._totals[name] for name in ("calls", "checks")},
            **ends,
            "counters": len(self._ledger),
            "unwritten": self._ledger.unwritten,
            "forgotten_unwritten": self._ledger.forgotten_unwritten,
            "redis": {name: self._writing.counters[name] for name in _REDIS},
            "pid": os.getpid(),
        }

    def statistics(self) -> dict[str, Any]:
        """All figures, and the windows of the tenants that have used most in this hour; looks at every counter."""
        return {**self.figures(), "tenants": self._ledger.tenants(), "top": self._top(self._now())}

    async def stop(self) -> None:
        """Decide nothing more, write what is unwritten, and close the store."""
        self._ends = True
        if not await self._writing.stop(_LAST_WRITE_S):
            _log.warning("counters_not_written", unwritten=self._ledger.unwritten)
        await self._store.aclose()

    def _look_back(self) -> None:
        """Doubt all counts if this process stood still, for others have counted meanwhile."""
        now = self._monotonic()
        if now - self._awake_at > _SILENCE_S:
            self._ledger.doubt()
        self._awake_at = now

    async def _begin(self, unknown: set[Pair], checks: Sequence[Check]) -> None:
        """Read what was counted before; who asks for the same meanwhile waits for the same."""
        under_way = [self._loading[pair] for pair in unknown if pair in self._loading]
        mine = [pair for pair in unknown if pair not in self._loading]
        if mine:
            limits = {check.pair: check.limits for check in checks}
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._loading.update(dict.fromkeys(mine, done))
            try:
                now = self._now()
                wanted = [Earlier.of(pair, now) for pair in mine]
                found = await self._writing.read(wanted)
                for at, one in enumerate(wanted):
                    self._ledger.begin(one, None if found is None else found[at], limits[one.pair])
            finally:
                for pair in mine:
                    del self._loading[pair]
                done.set_result(None)
        for other in under_way:
            await asyncio.shield(other)

    def _count(self, checks: Sequence[Check], verdicts: Sequence[Verdict]) -> None:
        self._totals["calls"] += 1
        self._totals["checks"] += len(checks)
        for check, verdict in zip(checks, verdicts, strict=True):
            if check.cost:
                self.by_route[check.route, "admitted" if verdict[0] == check.cost else "refused"] += 1

    def _top(self, now: Instant) -> dict[str, dict[str, Any]]:
        """By tenant and route, the windows."""
        resets = Resets.at(now)
        top: dict[str, dict[str, Any]] = {}
        for pair, entry in self._ledger.busiest(_TOP_TENANTS, now):
            used = entry.windows.minute_used, entry.windows.hour_used
            told = decided(entry.limits, 0, 0, used, resets)
            top.setdefault(pair.tenant, {})[pair.route] = usage_document(told, now.wall)
        return top

    def _now(self) -> Instant:
        return self._clock.read(self._wall(), self._monotonic())
