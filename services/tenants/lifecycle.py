"""What becomes of a tenant that is there: its credential is rotated, it is suspended, resumed, and given up."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from actors.rate_limiter.own_limits import OwnLimits
from actors.shards.placement import shard_of
from actors.shards.unit import UnitCall, UnitRunner, run_one
from services.admin.edge import followed_id
from services.tenants import admin_store, store
from services.tenants.admin_store import TenantRow
from services.tenants.directory import TenantDirectory
from services.tenants.errors import TenantRemovedError, TenantStateError
from services.tenants.listing import TenantListing
from services.tenants.requests import ClaimedRequest, IssuingRequests, fingerprint_of
from services.tenants.schemas import IssuedCredential
from services.tenants.states import ACTIVE, DROPPING, REMOVED, REMOVING, SUSPENDED
from telemetry.log import get_logger

_STEP_S: Final = 10.0
_log = get_logger("tenants")


class Rotated(NamedTuple):
    """A new credential, and when those before it expire, in seconds since 1970."""

    tenant_id: str
    shard_id: int
    credential: IssuedCredential
    retired: tuple[tuple[str, float], ...]


class TenantLifecycle:
    """Changes tenants. Every change may be repeated after a crash, and is known to all processes when it is answered.

    It is said before the row changes and after: of a crash in between the caches know nothing old after the moments
    for which Redis takes no entry, and local ones after a minute.
    """

    def __init__(
        self, shards: UnitRunner, listing: TenantListing, requests: IssuingRequests, directory: TenantDirectory
    ) -> None:
        self._shards, self._listing, self._requests, self._directory = shards, listing, requests, directory

    async def suspend(self, tenant_id: str) -> TenantRow:
        """Have its customers not answered and its calls refused, until it is resumed. Again changes nothing.

        Raises:
            UnknownTenantError: there is none.
            TenantStateError: it is being removed, or was.
        """
        removing, gone = "it is being removed; resume it first", "its rows are gone, or going; nothing can be suspended"
        return await self._enter(tenant_id, SUSPENDED, (ACTIVE, SUSPENDED), removing, gone)

    async def resume(self, tenant_id: str) -> TenantRow:
        """Have it served again, also if it was to be removed and its rows still stand.

        Raises:
            UnknownTenantError: there is none.
            TenantStateError: its rows are gone, or going.
        """
        states = (ACTIVE, SUSPENDED, REMOVING)
        return await self._enter(tenant_id, ACTIVE, states, "its rows are gone, and nothing can be resumed")

    async def give_up(self, tenant_id: str) -> TenantRow:
        """Begin its removal: it is nobody from now on, and its rows stand still to be exported.

        Raises:
            UnknownTenantError: there is none.
            TenantStateError: its rows are gone, or going.
        """
        states = (ACTIVE, SUSPENDED, REMOVING)
        return await self._enter(tenant_id, REMOVING, states, "its rows are going already; finish with DELETE")

    async def limit(self, tenant_id: str, asked: Mapping[str, Any]) -> OwnLimits:
        """Change its own limits. They hold from its next call on, against what it has used before.

        Args:
            tenant_id: of the tenant.
            asked: what is to become of them, see ``OwnLimits.changed``.

        Returns:
            all of them as they are then.

        Raises:
            UnknownTenantError: there is none.
            TenantStateError: it is being removed.
            LimitsContradictError: beside what stays, a minute would be above its hour; nothing was changed.
        """
        row, states = await self._listing.row(tenant_id), (ACTIVE, SUSPENDED)
        remedy = "it is being removed, and calls no more"
        self._demand(row, states, remedy)
        await self._forget(row)
        change = admin_store.LimitsChange(tenant_id, asked, states)
        limits: OwnLimits | None = await self._one(admin_store.SET_LIMITS, tenant_id, change)
        if limits is None:
            raise TenantStateError(tenant_id, REMOVING, remedy)
        await self._forget(row, waits=True)
        _log.info("tenant_limits_set", tenant_id=tenant_id, limits=limits.document(), correlation_id=followed_id())
        return limits

    async def rotate(
        self, tenant_id: str, *, grace_s: int, idempotency_key: str, public_key: str | None = None
    ) -> Rotated:
        """Issue a new credential. Those before it expire after a while, counted from the first time this was asked.

        Steps: claim the key, write the credential, list it, let the older ones expire. From the second on the new one
        holds; a crash before the last leaves the old ones without an end until this is repeated.

        Args:
            tenant_id: of the tenant.
            grace_s: 0 ends the older ones at once.
            idempotency_key: a repeat within a day gets the same credential.
            public_key: in PEM, for RS256; None issues a secret for HS256.

        Raises:
            UnknownTenantError: there is none.
            TenantStateError: it is being removed.
            IdempotencyConflictError: the key came with another request.
        """
        row = await self._listing.row(tenant_id)
        self._demand(row, (ACTIVE, SUSPENDED), "it is being removed, and needs no credential")
        asked = fingerprint_of(["rotate", tenant_id, grace_s, *(() if public_key is None else (public_key,))])
        request = await self._requests.claim(
            idempotency_key, "rotate", tenant_id, asked, renew=True, public_key=public_key
        )
        if request.removed or request.credential is None or request.issued is None:
            raise TenantRemovedError(tenant_id)
        await self._one(store.WRITE_CREDENTIAL, request.credential.kid, request.credential)
        added = admin_store.KidAdded(tenant_id, request.credential.kid, (ACTIVE, SUSPENDED))
        kids = await self._one(admin_store.ADD_KID, tenant_id, added)
        if kids is None:
            raise TenantStateError(tenant_id, REMOVING, "it is being removed, and needs no credential")
        retired = await self._retire(tenant_id, request, kids, request.requested_at + grace_s)
        await self._requests.complete(request)
        await self._directory.forget((), kids=kids, tenant_id=tenant_id, waits=True)
        _log.info(
            "credential_rotated",
            tenant_id=tenant_id,
            kid=request.credential.kid,
            grace_s=grace_s,
            correlation_id=followed_id(),
        )
        return Rotated(tenant_id, row.shard, request.issued, retired)

    async def _retire(
        self, tenant_id: str, request: ClaimedRequest, kids: tuple[str, ...], expires_at: float
    ) -> tuple[tuple[str, float], ...]:
        assert request.credential is not None
        # Only those that were there before ours: a later rotation's are none of ours.
        older = kids[kids.index(request.credential.kid) + 1 :]
        calls = [
            UnitCall(admin_store.RETIRE_CREDENTIALS, shard_of(kid), "", admin_store.Retirement((kid,), expires_at))
            for kid in older
        ]
        outcomes = await self._shards.run(calls, timeout_s=_STEP_S) if calls else []
        there = tuple(one for outcome in outcomes for one in outcome.unwrap())
        gone = tuple(kid for kid in older if kid not in dict(there))
        if gone:
            await self._one(admin_store.DROP_KIDS, tenant_id, admin_store.KidsDropped(tenant_id, gone))
        return there

    async def _enter(
        self, tenant_id: str, state: str, after: tuple[str, ...], remedy: str, gone: str | None = None
    ) -> TenantRow:
        row = await self._listing.row(tenant_id)
        self._demand(row, after, remedy, gone)
        await self._forget(row)
        if not await self._one(admin_store.SET_STATE, tenant_id, admin_store.StateChange(tenant_id, state, after)):
            self._demand(await self._listing.row(tenant_id), after, remedy, gone)
        await self._forget(row, waits=True)
        _log.info("tenant_state_set", tenant_id=tenant_id, state=state, before=row.state, correlation_id=followed_id())
        return await self._listing.row(tenant_id)

    def _demand(self, row: TenantRow, states: tuple[str, ...], remedy: str, gone: str | None = None) -> None:
        if gone is not None and row.state in {DROPPING, REMOVED}:
            remedy = gone
        if row.state not in states:
            raise TenantStateError(row.tenant_id, row.state, remedy)

    async def _forget(self, row: TenantRow, *, waits: bool = False) -> None:
        if row.phone_numbers:
            await self._directory.forget(row.phone_numbers, kids=row.kids, tenant_id=row.tenant_id, waits=waits)
        else:
            await self._directory.forget_tenant(row.tenant_id, waits=waits)

    async def _one(self, unit: str, key: str, arguments: Any) -> Any:
        return await run_one(self._shards, UnitCall(unit, shard_of(key), "", arguments), timeout_s=_STEP_S)
