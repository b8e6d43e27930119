"""Making tenants: whole or not at all, once for one idempotency key, and going on where a crash left off."""

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import orjson

from actors.shards.placement import shard_of
from actors.shards.unit import UnitCall
from kernel.identifiers import new_id
from services.tenants import store
from services.tenants.directory import TenantDirectory
from services.tenants.errors import IdempotencyConflictError, PhoneNumberTakenError
from services.tenants.rows import UnitRunner
from services.tenants.schemas import ProvisionedTenant, TenantSpec
from services.tenants.sealing import Sealer, access_token_context
from telemetry.log import get_logger

# How long a number is held for a tenant that is being made. Far longer than making one takes.
_CLAIM_S = 600.0
_STEP_S = 10.0
_log = get_logger("tenants")


class SchemaOwner(Protocol):
    """Makes the schema of a tenant, with its tables, as the owner of the databases."""

    async def create(self, tenant_id: str, shard: int) -> None:
        """Make what is not there yet."""


class TenantProvisioning:
    """Makes tenants.

    The steps: claim the idempotency key, claim the numbers, make the schema, write the profile, hold the numbers anew,
    write the placement, confirm the numbers. Each may be repeated, and a repeated call goes through all of them.
    Before the placement nobody finds the tenant, with it the tenant is whole. Numbers that were claimed for a tenant
    which never got there are free again after ten minutes; those of a tenant that was placed never are, confirmed or
    not.
    """

    def __init__(self, shards: UnitRunner, schemas: SchemaOwner, sealer: Sealer, directory: TenantDirectory) -> None:
        self._shards, self._schemas, self._sealer, self._directory = shards, schemas, sealer, directory

    async def provision(self, spec: TenantSpec, *, idempotency_key: str) -> ProvisionedTenant:
        """Make a tenant, or answer which one was made for this key.

        Args:
            spec: what it is made of.
            idempotency_key: the caller's name for this request; a repeat of it makes nothing new.

        Raises:
            PhoneNumberTakenError: a number belongs to another tenant; nothing of this one is visible.
            IdempotencyConflictError: the key came before with another spec.
            ShardError: a shard did not do its part; calling again goes on from there.
        """
        proposed = store.RequestClaim(idempotency_key, new_id(), _fingerprint(spec))
        claimed: store.RequestClaim = await self._one(store.CLAIM_REQUEST, shard_of(idempotency_key), proposed)
        if claimed.fingerprint != proposed.fingerprint:
            raise IdempotencyConflictError(idempotency_key)
        tenant_id, home = claimed.tenant_id, shard_of(claimed.tenant_id)
        placed = await self._one(store.FIND_PLACEMENTS, home, [tenant_id])
        claims = [
            store.PhoneClaim(number.phone_number_id, tenant_id, number.display_phone_number, _CLAIM_S)
            for number in spec.phone_numbers
        ]
        if placed:
            await self._demand(store.CONFIRM_PHONE, claims)
            return ProvisionedTenant(tenant_id=tenant_id, shard_id=placed[0].shard)
        await self._hold(claims)
        await self._schemas.create(tenant_id, home)
        await self._one(store.WRITE_PROFILE, home, self._profile(spec, tenant_id), tenant_id=tenant_id)
        # Anew, so that no claim lapses before the placement is written; who would take it looks for one first.
        await self._demand(store.CLAIM_PHONE, claims)
        placement = store.Placement(tenant_id, spec.name, home, spec.limits.minute, spec.limits.hour)
        await self._one(store.PLACE_TENANT, home, placement)
        await self._demand(store.CONFIRM_PHONE, claims)
        await self._directory.forget([claim.phone_number_id for claim in claims])
        _log.info("tenant_provisioned", tenant_id=tenant_id, shard=home, phone_numbers=len(claims))
        return ProvisionedTenant(tenant_id=tenant_id, shard_id=home)

    async def _hold(self, claims: Sequence[store.PhoneClaim]) -> None:
        try:
            outcomes = await self._shards.run([_on_phone(store.CLAIM_PHONE, one) for one in claims], timeout_s=_STEP_S)
            refused = [one for one, outcome in zip(claims, outcomes, strict=True) if not outcome.unwrap()]
            for claim in refused:
                await self._supersede(claim)
        except PhoneNumberTakenError:
            # The numbers that were free shall not be blocked by a tenant that cannot be made.
            await self._shards.run([_on_phone(store.RELEASE_PHONE, claim) for claim in claims], timeout_s=_STEP_S)
            raise

    async def _supersede(self, claim: store.PhoneClaim) -> None:
        """Take a number over from a tenant that was never placed, once its claim has lapsed."""
        number = claim.phone_number_id
        for holder in await self._one(store.FIND_PHONES, shard_of(number), [number]):
            if await self._one(store.FIND_PLACEMENTS, shard_of(holder.tenant_id), [holder.tenant_id]):
                raise PhoneNumberTakenError(number)
            claim = claim._replace(instead_of=holder.tenant_id)
        await self._demand(store.CLAIM_PHONE, [claim])

    async def _demand(self, unit: str, claims: Sequence[store.PhoneClaim]) -> None:
        outcomes = await self._shards.run([_on_phone(unit, claim) for claim in claims], timeout_s=_STEP_S)
        for claim, outcome in zip(claims, outcomes, strict=True):
            if not outcome.unwrap():
                raise PhoneNumberTakenError(claim.phone_number_id)

    async def _one(self, unit: str, shard: int, arguments: Any, *, tenant_id: str = "") -> Any:
        (outcome,) = await self._shards.run([UnitCall(unit, shard, tenant_id, arguments)], timeout_s=_STEP_S)
        return outcome.unwrap()

    def _profile(self, spec: TenantSpec, tenant_id: str) -> store.Profile:
        token = spec.whatsapp.access_token.get_secret_value()
        sealed = self._sealer.seal(token, access_token_context(tenant_id))
        return store.Profile(
            spec.name, spec.location.lat, spec.location.lon, sealed, spec.whatsapp.waba_id, spec.whatsapp.catalog_id
        )


def _on_phone(unit: str, claim: store.PhoneClaim) -> UnitCall:
    return UnitCall(unit, shard_of(claim.phone_number_id), "", claim)


def _fingerprint(spec: TenantSpec) -> bytes:
    """What tells one request from another under the same key."""
    plain = spec.model_dump(mode="json")
    plain["whatsapp"]["access_token"] = spec.whatsapp.access_token.get_secret_value()
    return hashlib.sha256(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)).digest()
