"""All SQL of tenants, as units of work: the directory's rows as system units, the profile in its tenant's context."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import orjson

from actors.rate_limiter.own_limits import OwnLimits
from actors.shards.unit import Transaction, UnitFunction
from kernel.sql import load_queries

_SQL = load_queries(Path(__file__).with_name("queries.sql"))

FIND_PHONES: Final = "tenants.find_phones"
FIND_PLACEMENTS: Final = "tenants.find_placements"
FIND_CREDENTIALS: Final = "tenants.find_credentials"
NAMES_OF: Final = "tenants.names_of"
READ_PROFILE: Final = "tenants.read_profile"
CLAIM_REQUEST: Final = "tenants.claim_request"
COMPLETE_REQUEST: Final = "tenants.complete_request"
CLAIM_PHONE: Final = "tenants.claim_phone"
CONFIRM_PHONE: Final = "tenants.confirm_phone"
RELEASE_PHONE: Final = "tenants.release_phone"
WRITE_CREDENTIAL: Final = "tenants.write_credential"
WITHDRAW_CREDENTIAL: Final = "tenants.withdraw_credential"
WRITE_PROFILE: Final = "tenants.write_profile"
PLACE_TENANT: Final = "tenants.place"


class PhoneRow(NamedTuple):
    """Whose a number is; on the shard of the number."""

    phone_number_id: str
    tenant_id: str
    display_phone_number: str


class PlacementRow(NamedTuple):
    """Where a tenant lives, and whether it is served (``Tenant.state``); on the shard of its id."""

    tenant_id: str
    name: str
    shard: int
    epoch: int
    state: str
    limit_minute: int | None
    limit_hour: int | None
    route_limits: str

    @property
    def limits(self) -> OwnLimits:
        """Its own."""
        return OwnLimits.of(self.limit_minute, self.limit_hour, orjson.loads(self.route_limits))


class ProfileRow(NamedTuple):
    """What a tenant's own schema says of it; on the shard where it lives."""

    latitude: float
    longitude: float
    access_token_sealed: str
    waba_id: str | None
    catalog_id: str | None


class CredentialRow(NamedTuple):
    """A credential, on the shard of its kid. Times are seconds since 1970; no expiry before another takes its place."""

    kid: str
    tenant_id: str
    algorithm: str
    secret_sealed: str
    expires_at: float | None
    created_at: float


class NewCredential(NamedTuple):
    """A credential that is issued; its secret is sealed."""

    kid: str
    tenant_id: str
    algorithm: str
    secret_sealed: str


class RequestClaim(NamedTuple):
    """An idempotency key with what its first user proposed, and a fingerprint of what was asked.

    Attributes:
        kind: ``create`` or ``rotate``.
        renew: whether the key is free for the same request, too, a day after that was completed.
    """

    idempotency_key: str
    tenant_id: str
    fingerprint: bytes
    kind: str
    kid: str
    secret_sealed: str
    renew: bool


class RequestRow(NamedTuple):
    """What an idempotency key stands for.

    Attributes:
        secret_sealed: of the credential that was issued; None a day after the request was completed.
        requested_at: seconds since 1970.
        removed: whether the tenant that was made for it was removed.
    """

    tenant_id: str
    fingerprint: bytes
    kid: str | None
    secret_sealed: str | None
    requested_at: float
    removed: bool


class Completion(NamedTuple):
    """A request that was carried out."""

    idempotency_key: str
    tenant_id: str


class PhoneClaim(NamedTuple):
    """A number that a tenant in the making wants to have.

    Attributes:
        patience_s: after which a claim that nobody completed lapses.
        instead_of: who holds the number now, where it is known that it was never placed and may lose a lapsed claim.
    """

    phone_number_id: str
    tenant_id: str
    display_phone_number: str
    patience_s: float
    instead_of: str = ""


class Profile(NamedTuple):
    """What is written into a tenant's own schema; token and gateway secrets are sealed."""

    name: str
    latitude: float
    longitude: float
    access_token_sealed: str
    waba_id: str | None
    catalog_id: str | None
    paystack_sealed: str | None
    ozow_sealed: str | None


class Placement(NamedTuple):
    """Where a tenant is to live; a limit of None is the platform's."""

    tenant_id: str
    name: str
    shard: int
    limit_minute: int | None
    limit_hour: int | None
    phone_numbers: tuple[str, ...]
    kids: tuple[str, ...]
    request_key: str


async def find_phones(transaction: Transaction, phone_number_ids: list[str]) -> list[PhoneRow]:
    """The rows of those of these numbers that belong to somebody, in any order."""
    return [PhoneRow(*row) for row in await transaction.fetch(_SQL["find_phones"], phone_number_ids)]


async def find_placements(transaction: Transaction, tenant_ids: list[str]) -> list[PlacementRow]:
    """The rows of those of these tenants that are there, in any order."""
    return [PlacementRow(*row) for row in await transaction.fetch(_SQL["find_placements"], tenant_ids)]


async def find_credentials(transaction: Transaction, kids: list[str]) -> list[CredentialRow]:
    """The rows of those of these credentials that there are, in any order."""
    return [CredentialRow(*row) for row in await transaction.fetch(_SQL["find_credentials"], kids)]


async def names_of(transaction: Transaction, tenant_id: str) -> tuple[list[str], list[str]]:
    """The numbers and the kids of this shard that point to a tenant."""
    rows = await transaction.fetch(_SQL["names_of"], tenant_id)
    return [name for kind, name in rows if kind == "number"], [name for kind, name in rows if kind == "kid"]


async def read_profile(transaction: Transaction, _arguments: None) -> ProfileRow | None:
    """The profile of the tenant in whose context it runs; None before it is written."""
    row = await transaction.fetchrow(_SQL["read_profile"])
    return None if row is None else ProfileRow(*row)


async def claim_request(transaction: Transaction, claim: RequestClaim) -> RequestRow:
    """Remember what an idempotency key stands for, and return what it stood for first."""
    await transaction.execute(_SQL["claim_request"], *claim)
    return RequestRow(*await transaction.fetchrow(_SQL["read_request"], claim.idempotency_key))


async def complete_request(transaction: Transaction, done: Completion) -> None:
    """From here on the request's answer is given for a day."""
    await transaction.execute(_SQL["complete_request"], *done)


async def write_credential(transaction: Transaction, credential: NewCredential) -> None:
    """Write a credential; it holds once its tenant is placed. Again changes nothing."""
    await transaction.execute(_SQL["write_credential"], *credential)


async def withdraw_credential(transaction: Transaction, credential: NewCredential) -> None:
    """Take it away, of a tenant that was not made after all."""
    await transaction.execute(_SQL["withdraw_credential"], credential.kid, credential.tenant_id)


async def claim_phone(transaction: Transaction, claim: PhoneClaim) -> bool:
    """Hold a number for a tenant in the making; False if it is another's."""
    return await transaction.fetchrow(_SQL["claim_phone"], *claim) is not None


async def confirm_phone(transaction: Transaction, claim: PhoneClaim) -> bool:
    """Make a held number the tenant's for good; False if the claim was lost to another."""
    row = await transaction.fetchrow(_SQL["confirm_phone"], claim.phone_number_id, claim.tenant_id)
    return row is not None


async def release_phone(transaction: Transaction, claim: PhoneClaim) -> None:
    """Let go of a number that was held and not confirmed."""
    await transaction.execute(_SQL["release_phone"], claim.phone_number_id, claim.tenant_id)


async def write_profile(transaction: Transaction, profile: Profile) -> None:
    """Write the profile of the tenant in whose context it runs, in place of what was there."""
    await transaction.execute(_SQL["write_profile"], *profile)


async def place_tenant(transaction: Transaction, placement: Placement) -> None:
    """Write where a tenant lives; again changes nothing."""
    await transaction.execute(_SQL["place_tenant"], *placement)


UNITS: Mapping[str, UnitFunction] = MappingProxyType(
    {
        FIND_PHONES: find_phones,
        FIND_PLACEMENTS: find_placements,
        FIND_CREDENTIALS: find_credentials,
        NAMES_OF: names_of,
        READ_PROFILE: read_profile,
        CLAIM_REQUEST: claim_request,
        COMPLETE_REQUEST: complete_request,
        WRITE_CREDENTIAL: write_credential,
        WITHDRAW_CREDENTIAL: withdraw_credential,
        CLAIM_PHONE: claim_phone,
        CONFIRM_PHONE: confirm_phone,
        RELEASE_PHONE: release_phone,
        WRITE_PROFILE: write_profile,
        PLACE_TENANT: place_tenant,
    }
)
