"""What would be applied where, and whether files and databases go together. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from actors.shards.migration_errors import NewerDatabaseError, UnknownCanaryError
from actors.shards.migration_files import SHARED, TENANT, Migration, Phase, pending, refuse_changed
from actors.shards.release_register import ShardVersions

_PREFIX = "tenant_"


class TenantPlan(NamedTuple):
    """One tenant that is behind.

    Attributes:
        version: how far its schema has come.
        migrations: names of what it needs, in order.
    """

    tenant_id: str
    shard: int
    version: int
    migrations: tuple[str, ...]


class ShardPlan(NamedTuple):
    """One shard.

    Attributes:
        shared: names of what its shared tables need, in order.
        behind: its tenants that need something, those made first before the others.
        up_to_date: how many need nothing.
        releases: names of what its new tenants get from then on and did not before.
    """

    shard: int
    shared: tuple[str, ...]
    behind: tuple[TenantPlan, ...]
    up_to_date: int
    releases: tuple[str, ...]


class MigrationPlan(NamedTuple):
    """All shards that answered.

    Attributes:
        phase: None for everything.
        newest: number of the newest file of tenants.
        canaries: the tenants that go first, in the order in which they were named; they need something or not.
        silent: shard to why it could not be asked.
    """

    phase: Phase | None
    newest: int
    shards: tuple[ShardPlan, ...]
    canaries: tuple[TenantPlan, ...]
    silent: Mapping[int, str]

    @property
    def behind(self) -> tuple[TenantPlan, ...]:
        """All tenants that need something."""
        return tuple(one for shard in self.shards for one in shard.behind)

    @property
    def up_to_date(self) -> int:
        """How many tenants need nothing."""
        return sum(shard.up_to_date for shard in self.shards)

    @property
    def shared(self) -> int:
        """How many migrations of shared tables there are to apply, all shards together."""
        return sum(len(shard.shared) for shard in self.shards)

    @property
    def nothing_to_do(self) -> bool:
        """Whether all that answered is as new as the phase has it."""
        return not any(shard.shared or shard.behind or shard.releases for shard in self.shards)


def plan_of(  # noqa: PLR0917 - all that a plan is made of
    states: Mapping[int, ShardVersions],
    silent: Mapping[int, str],
    shared: Sequence[Migration],
    tenant: Sequence[Migration],
    phase: Phase | None,
    canaries: Sequence[str] = (),
) -> MigrationPlan:
    """What is to be done, or why nothing may be.

    Args:
        states: of the shards that answered.
        silent: those that did not, and why.
        shared: files.
        tenant: files.
        phase: None for everything.
        canaries: ids of the tenants that go first.

    Raises:
        MigrationRefusedError: see ``migration_errors``.
    """
    for shard, state in sorted(states.items()):
        _refuse(shard, state, shared, tenant)
    shards = tuple(_shard(shard, state, shared, tenant, phase) for shard, state in sorted(states.items()))
    first = tuple(one for tenant_id in canaries for one in _canary(tenant_id, states, silent, tenant, phase))
    return MigrationPlan(phase, len(tenant), shards, first, dict(silent))


def _refuse(shard: int, state: ShardVersions, shared: Sequence[Migration], tenant: Sequence[Migration]) -> None:
    where = f"shard {shard:02d}"
    if state.shared > len(shared):
        raise NewerDatabaseError(f"the schema spaza of {where}", state.shared, len(shared))
    if state.newest_tenant > len(tenant):
        scope = next(scope for scope, version in state.tenants.items() if version > len(tenant))
        raise NewerDatabaseError(f"the schema {scope} of {where}", state.tenants[scope], len(tenant))
    refuse_changed(shared, state.released[SHARED], state.shared, where)
    refuse_changed(tenant, state.released[TENANT], state.newest_tenant, where)


def _shard(
    shard: int, state: ShardVersions, shared: Sequence[Migration], tenant: Sequence[Migration], phase: Phase | None
) -> ShardPlan:
    tenants = [_tenant(scope, shard, version, tenant, phase) for scope, version in state.tenants.items()]
    behind = tuple(one for one in tenants if one.migrations)
    # Without a register: it was set up before there was one, and its tenants show what it has released.
    known = max(state.released[TENANT], default=state.newest_tenant)
    return ShardPlan(
        shard,
        _names(pending(shared, state.shared, phase)),
        behind,
        len(tenants) - len(behind),
        _names(pending(tenant, known, phase)) if known else (),
    )


def _canary(
    tenant_id: str,
    states: Mapping[int, ShardVersions],
    silent: Mapping[int, str],
    tenant: Sequence[Migration],
    phase: Phase | None,
) -> list[TenantPlan]:
    scope = f"{_PREFIX}{tenant_id}"
    found = [
        _tenant(scope, shard, state.tenants[scope], tenant, phase)
        for shard, state in sorted(states.items())
        if scope in state.tenants
    ]
    if not found:
        raise UnknownCanaryError(tenant_id, tuple(sorted(silent)))
    return found


def _tenant(scope: str, shard: int, version: int, tenant: Sequence[Migration], phase: Phase | None) -> TenantPlan:
    return TenantPlan(scope.removeprefix(_PREFIX), shard, version, _names(pending(tenant, version, phase)))


def _names(migrations: Sequence[Migration]) -> tuple[str, ...]:
    return tuple(migration.name for migration in migrations)
