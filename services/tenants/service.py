"""Making tenants: whole or not at all, once for one idempotency key, and going on where a crash left off."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import orjson

from actors.shards.errors import ShardError, UnitFailedError
from actors.shards.placement import shard_of
from actors.shards.unit import UnitCall, UnitRunner, run_one
from kernel.identifiers import new_id
from services.admin.edge import followed_id
from services.tenants import store
from services.tenants.directory import TenantDirectory
from services.tenants.errors import PhoneNumberTakenError, TenantRefusedError, TenantRemovedError
from services.tenants.requests import ClaimedRequest, IssuingRequests, fingerprint_of
from services.tenants.schemas import ProvisionedTenant, TenantSpec
from services.tenants.sealing import Sealer, access_token_context, payments_context
from services.tenants.states import REMOVED
from telemetry.log import get_logger

# How long a number is held for a tenant that is being made. Far longer than making one takes.
_CLAIM_S = 600.0
_STEP_S = 10.0
# Of PostgreSQL's codes: what was given is out of range, or against a rule. It is so the next time, too.
_OF_INPUT = ("22", "23")
IsNowhere = Callable[[], Awaitable[bool]]
_log = get_logger("tenants")


class SchemaOwner(Protocol):
    """Makes the schema of a tenant, with its tables, as the owner of the databases."""

    async def create(self, tenant_id: str, shard: int, wanted: Callable[[], Awaitable[bool]]) -> bool:
        """Make what is not there yet, unless it is not wanted any more once nobody else can make or move it."""

    async def drop(self, tenant_id: str, shard: int, unchanged: Callable[[], Awaitable[bool]]) -> bool:
        """Take it away unless something changed; see ``TenantSchemas.drop``."""


class TenantProvisioning:
    """Makes tenants.

    The steps: claim the idempotency key, claim the numbers, make the schema, write profile and credential, hold the
    numbers anew, write the placement, confirm the numbers and complete the request. Each may be repeated, and a
    repeated call goes through all of them. Before the placement nobody finds the tenant, with it the tenant is whole.
    Numbers that were claimed for a tenant which never got there are free again after ten minutes; those of a tenant
    that was placed never are, confirmed or not. A crash leaves at most a schema and a credential that nobody can find.
    What the databases do not take is refused, and then nothing is left: no schema, no credential, no held number.
    """

    def __init__(self, shards: UnitRunner, schemas: SchemaOwner, sealer: Sealer, directory: TenantDirectory) -> None:
        self._shards, self._schemas, self._sealer, self._directory = shards, schemas, sealer, directory
        self._requests = IssuingRequests(shards, sealer)

    async def provision(self, spec: TenantSpec, *, idempotency_key: str) -> ProvisionedTenant:
        """Make a tenant, or answer which one was made for this key.

        Args:
            spec: what it is made of.
            idempotency_key: the caller's name for this request; a repeat of it makes nothing new.

        Returns:
            The tenant with its credential; without it where the key was first used more than a day ago.

        Raises:
            PhoneNumberTakenError: a number belongs to another tenant; nothing of this one is visible.
            IdempotencyConflictError: the key came before with another spec.
            TenantRemovedError: the tenant that was made for the key was removed.
            TenantRefusedError: the databases do not take what was given.
            ShardError: a shard did not do its part; calling again goes on from there.
        """
        request = await self._requests.claim(idempotency_key, "create", new_id(), _fingerprint(spec))
        tenant_id, home = request.tenant_id, shard_of(request.tenant_id)
        claims = [
            store.PhoneClaim(number.phone_number_id, tenant_id, number.display_phone_number, _CLAIM_S)
            for number in spec.phone_numbers
        ]
        if made := await self._made(request, claims):
            return made

        async def is_nowhere() -> bool:
            return not await self._one(store.FIND_PLACEMENTS, home, [tenant_id])

        try:
            made = await self._make(spec, request, claims, is_nowhere)
        except UnitFailedError as error:
            if not error.sqlstate.startswith(_OF_INPUT) or not await is_nowhere():
                raise
            await self._unmake(request, claims, is_nowhere)
            raise TenantRefusedError(error.name, error.sqlstate) from error
        if made:
            return made
        await self._finish(request, claims)
        await self._announce(request, claims)
        _log.info(
            "tenant_provisioned",
            tenant_id=tenant_id,
            shard=home,
            phone_numbers=len(claims),
            correlation_id=followed_id(),
        )
        return ProvisionedTenant(tenant_id=tenant_id, shard_id=home, credential=request.issued)

    async def _make(
        self, spec: TenantSpec, request: ClaimedRequest, claims: Sequence[store.PhoneClaim], is_nowhere: IsNowhere
    ) -> ProvisionedTenant | None:
        """Bring it as far as its placement; returns it where a repeat was faster."""
        tenant_id, home = request.tenant_id, shard_of(request.tenant_id)
        await self._hold(claims)
        # A repeat may have overtaken this one, and the tenant may have been moved away since: a schema here would be a
        # second one.
        if not await self._schemas.create(tenant_id, home, is_nowhere) and (made := await self._made(request, claims)):
            return made
        await self._write(request, self._profile(spec, tenant_id))
        # Anew, so that no claim lapses before the placement is written; who would take it looks for one first.
        await self._demand(store.CLAIM_PHONE, claims)
        await self._one(store.PLACE_TENANT, home, _placement(spec, request))
        return None

    async def _unmake(self, request: ClaimedRequest, claims: Sequence[store.PhoneClaim], is_nowhere: IsNowhere) -> None:
        """Take away what was made, of a tenant that no repeat can make either. Numbers first, for others want them."""
        calls = [_on_phone(store.RELEASE_PHONE, claim) for claim in claims]
        if request.credential is not None:
            kid = request.credential.kid
            calls.append(UnitCall(store.WITHDRAW_CREDENTIAL, shard_of(kid), "", request.credential))
        tenant_id = request.tenant_id
        try:
            for outcome in await self._shards.run(calls, timeout_s=_STEP_S):
                outcome.unwrap()
            await self._schemas.drop(tenant_id, shard_of(tenant_id), is_nowhere)
        except ShardError as error:
            _log.warning("refused_tenant_left", tenant_id=tenant_id, error=str(error), correlation_id=followed_id())

    async def _made(self, request: ClaimedRequest, claims: Sequence[store.PhoneClaim]) -> ProvisionedTenant | None:
        """The tenant as it was made before, wherever it lives by now; None if it was not."""
        tenant_id = request.tenant_id
        placed = await self._one(store.FIND_PLACEMENTS, shard_of(tenant_id), [tenant_id])
        if request.removed or (placed and placed[0].state == REMOVED):
            raise TenantRemovedError(tenant_id)
        if not placed:
            return None
        await self._finish(request, claims)
        # A crash may have come before it was said.
        await self._announce(request, claims)
        return ProvisionedTenant(tenant_id=tenant_id, shard_id=placed[0].shard, credential=request.issued)

    async def _write(self, request: ClaimedRequest, profile: store.Profile) -> None:
        """Write what is to be there before anybody can see the tenant, in whatever order."""
        calls = [UnitCall(store.WRITE_PROFILE, shard_of(request.tenant_id), request.tenant_id, profile)]
        if request.credential is not None:
            kid = request.credential.kid
            calls.append(UnitCall(store.WRITE_CREDENTIAL, shard_of(kid), "", request.credential))
        for outcome in await self._shards.run(calls, timeout_s=_STEP_S):
            outcome.unwrap()

    async def _finish(self, request: ClaimedRequest, claims: Sequence[store.PhoneClaim]) -> None:
        await self._demand(store.CONFIRM_PHONE, claims)
        await self._requests.complete(request)

    async def _announce(self, request: ClaimedRequest, claims: Sequence[store.PhoneClaim]) -> None:
        numbers = [claim.phone_number_id for claim in claims]
        kids = () if request.credential is None else (request.credential.kid,)
        await self._directory.forget(numbers, kids=kids, tenant_id=request.tenant_id)

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
            placed = await self._one(store.FIND_PLACEMENTS, shard_of(holder.tenant_id), [holder.tenant_id])
            if placed and placed[0].state != REMOVED:
                raise PhoneNumberTakenError(number)
            claim = claim._replace(instead_of=holder.tenant_id)
        await self._demand(store.CLAIM_PHONE, [claim])

    async def _demand(self, unit: str, claims: Sequence[store.PhoneClaim]) -> None:
        outcomes = await self._shards.run([_on_phone(unit, claim) for claim in claims], timeout_s=_STEP_S)
        for claim, outcome in zip(claims, outcomes, strict=True):
            if not outcome.unwrap():
                raise PhoneNumberTakenError(claim.phone_number_id)

    async def _one(self, unit: str, shard: int, arguments: Any) -> Any:
        return await run_one(self._shards, UnitCall(unit, shard, "", arguments), timeout_s=_STEP_S)

    def _profile(self, spec: TenantSpec, tenant_id: str) -> store.Profile:
        token = spec.whatsapp.access_token.get_secret_value()
        sealed = {
            gateway: self._sealer.seal(orjson.dumps(fields).decode(), payments_context(tenant_id, gateway))
            for gateway, fields in _plain_payments(spec).items()
        }
        return store.Profile(
            spec.name,
            spec.location.lat,
            spec.location.lon,
            self._sealer.seal(token, access_token_context(tenant_id)),
            spec.whatsapp.waba_id,
            spec.whatsapp.catalog_id,
            sealed.get("paystack"),
            sealed.get("ozow"),
        )


def _on_phone(unit: str, claim: store.PhoneClaim) -> UnitCall:
    return UnitCall(unit, shard_of(claim.phone_number_id), "", claim)


def _placement(spec: TenantSpec, request: ClaimedRequest) -> store.Placement:
    return store.Placement(
        request.tenant_id,
        spec.name,
        shard_of(request.tenant_id),
        spec.limits.minute,
        spec.limits.hour,
        tuple(number.phone_number_id for number in spec.phone_numbers),
        () if request.credential is None else (request.credential.kid,),
        request.key,
    )


def _plain_payments(spec: TenantSpec) -> dict[str, dict[str, str]]:
    """By gateway, its fields with the secrets in plain text."""
    plain: dict[str, dict[str, str]] = {}
    if spec.payments.paystack is not None:
        plain["paystack"] = {"secret_key": spec.payments.paystack.secret_key.get_secret_value()}
    if (ozow := spec.payments.ozow) is not None:
        plain["ozow"] = {
            "site_code": ozow.site_code,
            "private_key": ozow.private_key.get_secret_value(),
            "api_key": ozow.api_key.get_secret_value(),
        }
    return plain


def _fingerprint(spec: TenantSpec) -> bytes:
    plain = spec.model_dump(mode="json", exclude={"payments"})
    plain["whatsapp"]["access_token"] = spec.whatsapp.access_token.get_secret_value()
    # Left out where there are none: keys that were used before there were payments stand for the same request still.
    if payments := _plain_payments(spec):
        plain["payments"] = payments
    return fingerprint_of(plain)
