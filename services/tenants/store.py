"""All SQL of tenants, as units of work: the directory's rows as system units, the profile in its tenant's context."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from actors.shards.unit import Transaction, UnitFunction
from kernel.sql import load_queries

_SQL = load_queries(Path(__file__).with_name("queries.sql"))

FIND_PHONES: Final = "tenants.find_phones"
FIND_PLACEMENTS: Final = "tenants.find_placements"
READ_PROFILE: Final = "tenants.read_profile"
CLAIM_REQUEST: Final = "tenants.claim_request"
CLAIM_PHONE: Final = "tenants.claim_phone"
CONFIRM_PHONE: Final = "tenants.confirm_phone"
RELEASE_PHONE: Final = "tenants.release_phone"
WRITE_PROFILE: Final = "tenants.write_profile"
PLACE_TENANT: Final = "tenants.place"


class PhoneRow(NamedTuple):
    phone_number_id: str
    tenant_id: str
    display_phone_number: str


class PlacementRow(NamedTuple):
    tenant_id: str
    name: str
    shard: int
    epoch: int
    state: str
    limit_minute: int | None
    limit_hour: int | None


class ProfileRow(NamedTuple):
    latitude: float
    longitude: float
    access_token_sealed: str
    waba_id: str | None
    catalog_id: str | None


class RequestClaim(NamedTuple):
    """An idempotency key with the tenant that its first user proposed, and a fingerprint of what was asked."""

    idempotency_key: str
    tenant_id: str
    fingerprint: bytes


class PhoneClaim(NamedTuple):
    phone_number_id: str
    tenant_id: str
    display_phone_number: str
    patience_s: float
    instead_of: str = ""


class Profile(NamedTuple):
    name: str
    latitude: float
    longitude: float
    access_token_sealed: str
    waba_id: str | None
    catalog_id: str | None


class Placement(NamedTuple):
    tenant_id: str
    name: str
    shard: int
    limit_minute: int | None
    limit_hour: int | None


async def find_phones(transaction: Transaction, phone_number_ids: list[str]) -> list[PhoneRow]:
    return [PhoneRow(*row) for row in await transaction.fetch(_SQL["find_phones"], phone_number_ids)]


async def find_placements(transaction: Transaction, tenant_ids: list[str]) -> list[PlacementRow]:
    return [PlacementRow(*row) for row in await transaction.fetch(_SQL["find_placements"], tenant_ids)]


async def read_profile(transaction: Transaction, _arguments: None) -> ProfileRow | None:
    row = await transaction.fetchrow(_SQL["read_profile"])
    return None if row is None else ProfileRow(*row)


async def claim_request(transaction: Transaction, claim: RequestClaim) -> RequestClaim:
    await transaction.execute(_SQL["claim_request"], *claim)
    tenant_id, fingerprint = await transaction.fetchrow(_SQL["read_request"], claim.idempotency_key)
    return RequestClaim(claim.idempotency_key, tenant_id, fingerprint)


async def claim_phone(transaction: Transaction, claim: PhoneClaim) -> bool:
    return await transaction.fetchrow(_SQL["claim_phone"], *claim) is not None


async def confirm_phone(transaction: Transaction, claim: PhoneClaim) -> bool:
    row = await transaction.fetchrow(_SQL["confirm_phone"], claim.phone_number_id, claim.tenant_id)
    return row is not None


async def release_phone(transaction: Transaction, claim: PhoneClaim) -> None:
    await transaction.execute(_SQL["release_phone"], claim.phone_number_id, claim.tenant_id)


async def write_profile(transaction: Transaction, profile: Profile) -> None:
    await transaction.execute(_SQL["write_profile"], *profile)


async def place_tenant(transaction: Transaction, placement: Placement) -> None:
    await transaction.execute(_SQL["place_tenant"], *placement)


UNITS: Mapping[str, UnitFunction] = MappingProxyType(
    {
        FIND_PHONES: find_phones,
        FIND_PLACEMENTS: find_placements,
        READ_PROFILE: read_profile,
        CLAIM_REQUEST: claim_request,
        CLAIM_PHONE: claim_phone,
        CONFIRM_PHONE: confirm_phone,
        RELEASE_PHONE: release_phone,
        WRITE_PROFILE: write_profile,
        PLACE_TENANT: place_tenant,
    }
)
