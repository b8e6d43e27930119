"""Units of work for those who look after tenants: listing, states, rotation, removal."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson

from actors.rate_limiter.own_limits import OwnLimits
from actors.shards.shard_query import OrderBy, ShardQuery
from actors.shards.unit import Transaction, UnitFunction
from kernel.sql import load_queries
from services.tenants.errors import LimitsContradictError

_SQL = load_queries(Path(__file__).with_name("queries.sql"))

READ_TENANTS: Final = "tenants.read_tenants"
SET_STATE: Final = "tenants.set_state"
SET_LIMITS: Final = "tenants.set_limits"
READ_DETAILS: Final = "tenants.read_details"
ADD_KID: Final = "tenants.add_kid"
DROP_KIDS: Final = "tenants.drop_kids"
RETIRE_CREDENTIALS: Final = "tenants.retire_credentials"
FORGET_NAMES: Final = "tenants.forget_names"
BURY_TENANT: Final = "tenants.bury"
FORGET_OLD: Final = "tenants.forget_old"


class TenantRow(NamedTuple):
    """All that a placement says. Times are seconds since 1970; of ``kids`` the latest comes first."""

    tenant_id: str
    name: str
    shard: int
    epoch: int
    state: str
    limit_minute: int | None
    limit_hour: int | None
    route_limits: str
    phone_numbers: tuple[str, ...]
    kids: tuple[str, ...]
    placed_at: float
    changed_at: float

    @property
    def limits(self) -> OwnLimits:
        """Its own."""
        return OwnLimits.of(self.limit_minute, self.limit_hour, orjson.loads(self.route_limits))


# In the order of their ids, which is that of their making.
LISTING: Final = ShardQuery(
    "tenants.list", _SQL["list_tenants"], TenantRow, order=(OrderBy("tenant_id", str, any_collation=True),)
)


class DetailsRow(NamedTuple):
    """What is shown of a profile."""

    latitude: float
    longitude: float
    waba_id: str | None
    catalog_id: str | None
    paystack: bool
    ozow: bool


class StateChange(NamedTuple):
    """A state that is to follow one of others."""

    tenant_id: str
    state: str
    after: tuple[str, ...]


class LimitsChange(NamedTuple):
    """What is to become of the limits of a tenant in one of some states; see ``OwnLimits.changed``."""

    tenant_id: str
    asked: Mapping[str, Any]
    states: tuple[str, ...]


class KidAdded(NamedTuple):
    """A credential that is to come first, for a tenant in one of some states."""

    tenant_id: str
    kid: str
    states: tuple[str, ...]


class KidsDropped(NamedTuple):
    """Credentials that a placement lists no longer."""

    tenant_id: str
    kids: tuple[str, ...]


class Retirement(NamedTuple):
    """Credentials, and when they expire, in seconds since 1970."""

    kids: tuple[str, ...]
    expires_at: float


async def read_tenants(transaction: Transaction, tenant_ids: list[str]) -> list[TenantRow]:
    """The placements of those of these tenants that are there, in any order."""
    return [_tenant(row) for row in await transaction.fetch(_SQL["read_tenants"], tenant_ids)]


async def set_state(transaction: Transaction, change: StateChange) -> bool:
    """Change a tenant's state; False if it is in none from which that is allowed, or not there."""
    return await transaction.fetchrow(_SQL["set_state"], *change) is not None


async def set_limits(transaction: Transaction, change: LimitsChange) -> OwnLimits | None:
    """Change a tenant's own limits; returns them as they are then, or None if it is in another state, or not there.

    Raises:
        LimitsContradictError: what was there and what is asked for do not go together.
    """
    row = await transaction.fetchrow(_SQL["lock_limits"], change.tenant_id, change.states)
    if row is None:
        return None
    minute, hour, routes = row
    made = OwnLimits.of(minute, hour, orjson.loads(routes)).changed(change.asked)
    if places := made.contradictions():
        raise LimitsContradictError(change.tenant_id, places)
    kept = orjson.dumps(made.kept()).decode()
    await transaction.execute(_SQL["set_limits"], change.tenant_id, made.minute, made.hour, kept)
    return made


async def read_details(transaction: Transaction, _arguments: None) -> DetailsRow | None:
    """What is shown of the profile of the tenant in whose context it runs."""
    row = await transaction.fetchrow(_SQL["read_details"])
    return None if row is None else DetailsRow(*row)


async def add_kid(transaction: Transaction, added: KidAdded) -> tuple[str, ...] | None:
    """Put a credential first, unless it is listed; returns all, or None if the tenant is in another state."""
    row = await transaction.fetchrow(_SQL["add_kid"], *added)
    return None if row is None else tuple(row["kids"])


async def drop_kids(transaction: Transaction, dropped: KidsDropped) -> None:
    """List these no longer."""
    await transaction.execute(_SQL["drop_kids"], *dropped)


async def retire_credentials(transaction: Transaction, retirement: Retirement) -> list[tuple[str, float]]:
    """Let credentials of this shard expire; returns those that are still there, with when they do."""
    return [(kid, at) for kid, at in await transaction.fetch(_SQL["retire_credentials"], *retirement)]


async def forget_names(transaction: Transaction, tenant_id: str) -> None:
    """Take away what of this shard points to a tenant."""
    await transaction.execute(_SQL["forget_names"], tenant_id)


async def bury_tenant(transaction: Transaction, tenant_id: str) -> None:
    """The last step of a removal."""
    await transaction.execute(_SQL["bury_tenant"], tenant_id)


async def forget_old(transaction: Transaction, _arguments: None) -> None:
    """A chore: what was kept for a while goes."""
    await transaction.execute(_SQL["forget_old"])


def _tenant(row: tuple[object, ...]) -> TenantRow:
    found = TenantRow(*row)  # type: ignore[arg-type]
    return found._replace(phone_numbers=tuple(found.phone_numbers), kids=tuple(found.kids))


UNITS: Mapping[str, UnitFunction] = MappingProxyType(
    {
        READ_TENANTS: read_tenants,
        LISTING.name: LISTING.run,
        SET_STATE: set_state,
        SET_LIMITS: set_limits,
        READ_DETAILS: read_details,
        ADD_KID: add_kid,
        DROP_KIDS: drop_kids,
        RETIRE_CREDENTIALS: retire_credentials,
        FORGET_NAMES: forget_names,
        BURY_TENANT: bury_tenant,
        FORGET_OLD: forget_old,
    }
)
