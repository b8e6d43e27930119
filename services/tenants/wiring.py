"""The admin API of tenants, for the composition root."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from actors.shards.unit import UnitRunner
from services.admin.actions import Actions
from services.admin.edge import WithinRequest
from services.tenants.directory import TenantDirectory
from services.tenants.lifecycle import TenantLifecycle
from services.tenants.listing import TenantListing
from services.tenants.move_ports import Moves
from services.tenants.moves_under_way import MovesUnderWay
from services.tenants.moving import TenantMoving
from services.tenants.removal import SchemaRemover, TenantRemoval
from services.tenants.requests import IssuingRequests
from services.tenants.resealing import Resealing
from services.tenants.routes import TenantsApp, TenantUseCases
from services.tenants.sealing import Sealer
from services.tenants.service import SchemaOwner, TenantProvisioning
from services.tenants.tokens import TenantTokens

TENANT_SERVICE: Final = "tenant-service"


class Schemas(SchemaOwner, SchemaRemover, Protocol):
    """Makes schemas and takes them away, as the owner of the databases."""


def tenants_app(
    shards: UnitRunner,
    actions: Actions,
    *,
    schemas: Schemas,
    sealer: Sealer,
    directory: TenantDirectory,
    forget_other_keys: Callable[[], Awaitable[int]],
    moves: Moves,
    limited: Sequence[str],
    listing_staleness_s: float = 0.0,
) -> TenantsApp:
    """Put the use cases together over what one process has.

    Args:
        shards: run the units.
        actions: record who did what.
        schemas: needs the owner's DSN.
        sealer: under all keys.
        directory: is told of every change.
        forget_other_keys: see ``Resealing``.
        moves: opens moves of tenants, as the owner of the databases.
        limited: names of the routes that have limits.
        listing_staleness_s: of the list of tenants, see ``TenantListing``.
    """
    # A move goes on when the request that began it is over; all else ends with it.
    moving = TenantMoving(shards, TenantListing(shards), moves, directory)
    shards = WithinRequest(shards)
    listing = TenantListing(shards, staleness_s=listing_staleness_s)
    cases = TenantUseCases(
        provisioning=TenantProvisioning(shards, schemas, sealer, directory),
        listing=listing,
        lifecycle=TenantLifecycle(shards, listing, IssuingRequests(shards, sealer), directory),
        removal=TenantRemoval(shards, listing, schemas, directory),
        resealing=Resealing(shards, sealer, directory, forget_other_keys),
        tokens=TenantTokens(shards, listing, sealer),
        moves=MovesUnderWay(moving),
    )
    return TenantsApp(cases, actions, limited)
