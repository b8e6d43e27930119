"""Migrates the tenants of all shards: canaries first, then the shards side by side, some tenants of each at a time.

Each migration of each tenant is a transaction that writes the schema's version, so a process that is killed at any
moment leaves nothing half done, and the next run goes on with those that are behind. Several runs at once do it once.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Final

import asyncpg

from actors.shards.errors import MigrationFailedError, SchemaGoneError, SetupError
from actors.shards.migration_errors import NoShardError
from actors.shards.migration_files import SHARED, TENANT, MigrationFiles, Phase, pending
from actors.shards.migration_plan import MigrationPlan, ShardPlan, TenantPlan, plan_of
from actors.shards.migration_report import MigrationReport, Progress, ShardFailure, TenantFailure
from actors.shards.migrations import migrate
from actors.shards.owner import MigrationLimits, OwnerConnections
from actors.shards.placement import SHARDS
from actors.shards.rehearsal import rehearse
from actors.shards.release_register import SHARED_SCOPE, ShardVersions, keep_register, read_versions, release_up_to
from actors.shards.transaction import schema_of
from actors.shards.translation import FOREIGN, sqlstate_of
from telemetry.log import get_logger

# A connection remembers something of each table that it has seen.
_TENANTS_PER_CONNECTION: Final = 250
# Tenants in a row that found no server before the rest of the shard is left for another time.
_SILENT_TRIES: Final = 3
_AGAIN_S: Final = 1.0
# At all shards, for tenants that move while a run is under way.
_LOOKS_AGAIN: Final = 3
_log = get_logger("migrations")


Watch = Callable[[Progress], None]


class TenantMigrations:
    """Brings all tenants up to date, as the databases' owner. Holds the owner's DSN, and connections while it works."""

    def __init__(
        self,
        dsn_template: str,
        files: MigrationFiles,
        limits: MigrationLimits | None = None,
        shards: Sequence[int] = range(SHARDS),
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._files, self._shards, self.clock = files, tuple(shards), clock
        self._limits = MigrationLimits() if limits is None else limits
        self.connection = OwnerConnections(dsn_template, self._limits).to

    async def plan(self, phase: Phase | None = None, canaries: Sequence[str] = ()) -> MigrationPlan:
        """What would be applied where; changes nothing.

        Raises:
            MigrationRefusedError: files and databases do not go together.
            SetupError: a database was never set up.
            NoShardError: none answers.
        """
        looked = await asyncio.gather(*(self._look(shard) for shard in self._shards))
        if looked and all(isinstance(state, str) for state in looked):
            raise NoShardError(str(looked[0]))
        states = {shard: state for shard, state in zip(self._shards, looked, strict=True) if not isinstance(state, str)}
        silent = {shard: state for shard, state in zip(self._shards, looked, strict=True) if isinstance(state, str)}
        return plan_of(states, silent, *self._files, phase, canaries)

    async def run(
        self,
        phase: Phase | None = None,
        canaries: Sequence[str] = (),
        *,
        watch: Watch | None = None,
        time_s: float | None = None,
    ) -> MigrationReport:
        """Plan, rehearse, migrate the canaries, and then all others.

        Args:
            phase: None for everything.
            canaries: ids of tenants that go first; if one fails, nothing else is touched.
            watch: told of the progress.
            time_s: after which it stops between two tenants, the rest being left for another time; None for no end.

        Raises:
            MigrationRefusedError: files and databases do not go together; nothing was touched.
            MigrationFailedError: a file does not work on an empty schema; nothing was touched.
            SetupError: a database was never set up; nothing was touched.
        """
        return await _Run(self, await self.plan(phase, canaries), watch, time_s).all()

    async def _look(self, shard: int) -> ShardVersions | str:
        try:
            async with self.connection(shard) as connection:
                return await read_versions(connection, f"shard {shard:02d}")
        except FOREIGN as error:
            return f"{type(error).__name__}: {error}"

    @property
    def files(self) -> MigrationFiles:
        """What it applies."""
        return self._files

    @property
    def limits(self) -> MigrationLimits:
        """What it may use."""
        return self._limits


class _Run:
    """One run, and its counts."""

    def __init__(
        self, migrations: TenantMigrations, plan: MigrationPlan, watch: Watch | None, time_s: float | None
    ) -> None:
        self._migrations, self._plan, self._watch = migrations, plan, watch
        self._files, self._limits = migrations.files, migrations.limits
        self._clock = migrations.clock
        self._started = self._clock()
        self._ends = float("inf") if time_s is None else self._started + time_s
        self._done, self._migrated, self._applied, self._shared = 0, 0, 0, 0
        self._left = {shard.shard: len(shard.behind) for shard in plan.shards}
        self._failed: list[TenantFailure] = []
        self._shards = [ShardFailure(shard, reason, 0) for shard, reason in plan.silent.items()]
        self._cut = False

    async def all(self) -> MigrationReport:
        """Rehearse, the canaries one by one, then everything."""
        plan = self._plan
        if not plan.nothing_to_do:
            await self._rehearse()
        self._tell()
        for canary in plan.canaries:
            if not await self._canary(canary):
                return self._report(stopped=True)
        await asyncio.gather(*(self._shard(shard) for shard in plan.shards))
        for _ in range(_LOOKS_AGAIN):
            behind = await self._still_behind()
            if not behind:
                break
            await asyncio.gather(*(self._shard(shard) for shard in behind))
        return self._report(stopped=False)

    async def _rehearse(self) -> None:
        plan, files = self._plan, self._files
        shard = plan.canaries[0].shard if plan.canaries else plan.shards[0].shard
        shared = [one for one in files.shared if one.name in next(s.shared for s in plan.shards if s.shard == shard)]
        wanted = {name for one in plan.behind for name in one.migrations}
        wanted |= {name for one in plan.shards for name in one.releases}
        newest = max((one.number for one in files.tenant if one.name in wanted), default=0)
        try:
            async with self._migrations.connection(shard) as connection:
                await rehearse(connection, shared, files.tenant[:newest], self._limits.patience)
        except FOREIGN as error:
            raise NoShardError(f"shard {shard:02d} went away in the rehearsal, {_reason(error)}") from error

    async def _canary(self, canary: TenantPlan) -> bool:
        try:
            async with self._migrations.connection(canary.shard) as connection:
                await self._share(connection, canary.shard)
                await self._tenant(connection, canary)
        except (*FOREIGN, SetupError) as error:
            self._fail(canary, error)
            return False
        return True

    async def _shard(self, plan: ShardPlan) -> None:
        if self._over():
            return
        try:
            async with self._migrations.connection(plan.shard) as connection:
                await self._share(connection, plan.shard)
                await release_up_to(connection, self._files.tenant, self._plan.phase)
                # Read anew: tenants have been made meanwhile, and canaries are done.
                versions = await read_versions(connection, f"shard {plan.shard:02d}")
        except (*FOREIGN, SetupError) as error:
            self._shards.append(ShardFailure(plan.shard, _reason(error), len(plan.behind)))
            self._left[plan.shard] = 0
            return
        state = {plan.shard: versions}
        (now,) = plan_of(state, {}, *self._files, self._plan.phase).shards
        failed = {one.tenant_id for one in self._failed}
        waiting = deque(one for one in now.behind if one.tenant_id not in failed)
        self._left[plan.shard] = len(waiting)
        workers = min(self._limits.per_shard, len(waiting))
        reasons = await asyncio.gather(*(self._work(plan.shard, waiting) for _ in range(workers)))
        if waiting and not self._cut:
            self._shards.append(ShardFailure(plan.shard, next(filter(None, reasons), ""), len(waiting)))
            self._left[plan.shard] = 0

    async def _still_behind(self) -> list[ShardPlan]:
        """Shards to which a tenant has moved that is behind, after they had been listed without it."""
        if self._plan.nothing_to_do or self._over():
            return []
        known, failed = {one.shard for one in self._shards}, {one.tenant_id for one in self._failed}
        try:
            again = await self._migrations.plan(self._plan.phase)
        except NoShardError as error:
            self._shards += [ShardFailure(one.shard, error.reason, 0) for one in self._plan.shards]
            return []
        self._shards += [ShardFailure(shard, why, 0) for shard, why in again.silent.items() if shard not in known]
        return [
            shard
            for shard in again.shards
            if shard.shard not in known and any(one.tenant_id not in failed for one in shard.behind)
        ]

    async def _share(self, connection: "asyncpg.Connection[Any]", shard: int) -> None:
        files, patience = self._files, self._limits.patience
        versions = await keep_register(connection, f"shard {shard:02d}", *files)
        wanted = pending(files.shared, versions.shared, self._plan.phase)
        applied = await migrate(connection, SHARED_SCOPE, wanted, folder=SHARED, patience=patience)
        self._shared += applied

    async def _work(self, shard: int, waiting: deque[TenantPlan]) -> str:
        """Take tenants until none is left, on a connection that is renewed now and then and when it breaks.

        Returns:
            why it gave up; empty where it did not. Others of the shard may go on without it.
        """
        silent = 0
        while waiting and not self._over():
            taken: TenantPlan | None = None
            try:
                async with self._migrations.connection(shard) as connection:
                    for _ in range(_TENANTS_PER_CONNECTION):
                        if not waiting or self._over():
                            break
                        taken = waiting.popleft()
                        await self._guarded(connection, taken)
                        taken, silent = None, 0
            except FOREIGN as error:
                if taken is not None:
                    # What broke before its commit is done again; what had committed says so by its version.
                    waiting.appendleft(taken)
                silent += 1
                if silent >= _SILENT_TRIES:
                    return _reason(error)
                await asyncio.sleep(_AGAIN_S)
        return ""

    async def _guarded(self, connection: "asyncpg.Connection[Any]", plan: TenantPlan) -> None:
        try:
            await self._tenant(connection, plan)
        except SchemaGoneError:
            # Removed or moved meanwhile, with all that it had.
            self._over_with(plan.shard)
        except MigrationFailedError as error:
            self._fail(plan, error)

    async def _tenant(self, connection: "asyncpg.Connection[Any]", plan: TenantPlan) -> None:
        schema = schema_of(plan.tenant_id)
        wanted = pending(self._files.tenant, plan.version, self._plan.phase)
        placeholders = {"schema": schema, "tenant_id": plan.tenant_id}
        patience = self._limits.patience
        applied = await migrate(connection, schema, wanted, placeholders, folder=TENANT, patience=patience)
        self._applied += applied
        self._migrated += applied > 0
        self._over_with(plan.shard)

    def _fail(self, plan: TenantPlan, error: Exception) -> None:
        cause = error.__cause__ if isinstance(error, SetupError) and error.__cause__ is not None else error
        migration = error.what.rpartition(" ")[2] if isinstance(error, MigrationFailedError) else ""
        failure = TenantFailure(plan.tenant_id, plan.shard, migration, _reason(error), sqlstate_of(cause))
        self._failed.append(failure)
        _log.warning("tenant_not_migrated", tenant_id=plan.tenant_id, shard=plan.shard, migration=migration)
        self._over_with(plan.shard)

    def _over_with(self, shard: int) -> None:
        self._done += 1
        self._left[shard] -= 1
        self._tell()

    def _over(self) -> bool:
        self._cut = self._cut or self._clock() > self._ends
        return self._cut

    def _tell(self) -> None:
        if self._watch is not None:
            total = self._done + max(0, sum(self._left.values()))
            self._watch(Progress(self._done, total, len(self._failed), self._clock() - self._started))

    def _report(self, *, stopped: bool) -> MigrationReport:
        return MigrationReport(
            self._plan,
            self._migrated,
            self._applied,
            self._shared,
            tuple(sorted(self._failed, key=lambda one: (one.shard, one.tenant_id))),
            tuple(sorted(self._shards)),
            stopped,
            self._cut and not stopped,
            self._clock() - self._started,
        )


def _reason(error: Exception) -> str:
    if isinstance(error, SetupError) and type(error) is MigrationFailedError:
        return error.reason
    return str(error) or type(error).__name__
