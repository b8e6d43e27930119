"""A replicated PostgreSQL that is kept running as an instance keeps its own, and writers on one shard of it."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

import asyncpg

from actors.shards.access import ShardAccess
from actors.shards.dsn import shard_dsn
from actors.shards.errors import CommitUnknownError
from actors.shards.placement import SHARDS
from actors.shards.pool import ShardPools
from actors.shards.unit import UnitCall, UnitOutcome
from cluster.parts import Part
from cluster.postgres import TUNING
from cluster.replicas.member import Member
from cluster.replicas.replicated_postgres import ReplicatedPostgres
from cluster.replicas.roles import read_roles, wanted_roles
from cluster.tending import Tending
from services.units import UNITS as SERVICE_UNITS
from tests.contract.shards.calls import UNITS
from tests.contract.shards.conftest import KEY, SHARD
from tests.contract.tenants.movers import FollowingRunner

# A second of work is lost with the machine, not with a process; no test loses a machine.
_SMALL = {**TUNING, "shared_buffers": "32MB", "fsync": "off", "max_connections": "100"}


# Of a writer, for a call.
_PATIENCE_S = 15.0


class Kept:
    """Notes what becomes of the parts, as the supervisor does."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def part_runs(self, part: Part, seconds: float, detail: str) -> None:
        """That is expected."""

    def part_failed(self, part: Part, reason: str) -> None:
        self.failures.append(reason)

    async def part_ended(self, part: Part, how: str) -> None:
        """That is done to them."""

    async def clear(self, part: Part) -> None:
        await part.stop(timeout_s=0.0)


@asynccontextmanager
async def replicated(folder: Path, replicas: int | None) -> AsyncIterator[ReplicatedPostgres]:
    """Servers in a folder whose path is short, started again whenever they end."""
    data_dir, run_dir = folder / "data", folder / "run"
    for one in (folder, data_dir, run_dir):
        one.mkdir(exist_ok=True)
        # PostgreSQL may run as another user.
        one.chmod(0o711)
    roles = wanted_roles(read_roles(data_dir), replicas)
    assert roles is not None
    postgres, kept = ReplicatedPostgres(data_dir, run_dir, roles, tuning=_SMALL), Kept()
    tending = [asyncio.create_task(Tending(part, kept).run()) for part in postgres.parts]
    try:
        await until(lambda: all_follow(postgres), 240, tending)
        yield postgres
    finally:
        for task in tending:
            task.cancel()
        await asyncio.gather(*tending, return_exceptions=True)
        await asyncio.gather(*(part.stop(timeout_s=5.0) for part in postgres.parts))


async def all_follow(postgres: ReplicatedPostgres) -> bool:
    """Whether there is one primary, and all others stream from it."""
    servers = (await postgres.figures())["servers"]
    return [one["role"] for one in servers].count("primary") == 1 and all(
        one["role"] == "primary" or one["streaming"] for one in servers
    )


async def until(holds: Callable[[], Awaitable[bool]], limit_s: float, tasks: Any = ()) -> float:
    """Wait for something; gives the seconds that it took. Fails with the first of the tasks that fails."""
    started = time.monotonic()
    while not await holds():
        for task in tasks:
            if task.done():
                task.result()
        assert time.monotonic() - started < limit_s, f"not within {limit_s:g} s"
        await asyncio.sleep(0.1)
    return time.monotonic() - started


async def says(member: Member, query: str) -> str:
    """One value from the shard of these tests on one of the servers."""
    connection = await asyncpg.connect(shard_dsn(member.dsn, SHARD), timeout=60)
    try:
        return str(await connection.fetchval(query))
    finally:
        await connection.close()


async def says_now(member: Member, query: str) -> str | None:
    """The same; None where the server is just being started, or breaks off what it replays into."""
    try:
        return await says(member, query)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
        return None


class Load:
    """Writers that note what they were told of each row. They believe that their tenant never moves."""

    def __init__(self, dsn: str, tenant_id: str, writers: int = 4) -> None:
        self._pools = ShardPools(ShardAccess.derive(dsn, KEY), range(SHARDS), {**SERVICE_UNITS, **UNITS})
        self.runner = FollowingRunner(self._pools)
        self.tenant_id, self._writers = tenant_id, writers
        self.confirmed: dict[str, float] = {}
        self.unknown: set[str] = set()
        self.failed: Counter[str] = Counter()
        self.refused: set[str] = set()
        self.slowest_s = 0.0

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._write(number)) for number in range(self._writers)]
        return self

    async def __aexit__(self, *_error: object) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def aclose(self) -> None:
        await self._pools.aclose()

    async def unit(self, name: str, arguments: Any = None, *, max_staleness_s: float | None = None) -> UnitOutcome:
        """Run one unit of the tenant."""
        call = UnitCall(name, SHARD, self.tenant_id, arguments, max_staleness_s=max_staleness_s)
        [outcome] = await self.runner.run([call], timeout_s=30.0)
        return outcome

    async def rows(self) -> set[str]:
        """What is there."""
        [outcome] = await self.runner.run([UnitCall("skus", SHARD, self.tenant_id, None)], timeout_s=60.0)
        return set(outcome.unwrap())

    async def confirmed_after(self, moment: float) -> bool:
        """Whether a row was confirmed since."""
        return bool(self.confirmed) and next(reversed(self.confirmed.values())) > moment

    async def _write(self, writer: int) -> None:
        number = 0
        while True:
            skus = [f"{writer}-{number + part}" for part in range(4)]
            number += len(skus)
            started = time.monotonic()
            calls = [UnitCall("add", SHARD, self.tenant_id, sku) for sku in skus]
            outcomes = await self.runner.run(calls, timeout_s=_PATIENCE_S)
            self.slowest_s = max(self.slowest_s, time.monotonic() - started)
            for sku, outcome in zip(skus, outcomes, strict=True):
                if outcome.error is None:
                    self.confirmed[sku] = time.monotonic()
                elif isinstance(outcome.error, CommitUnknownError):
                    self.unknown.add(sku)
                else:
                    self.refused.add(sku)
                    self.failed[type(outcome.error).__name__] += 1
            await asyncio.sleep(0.005)
