"""Units of work that read and write what is sealed, to seal it under another key. Keys do not come here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from actors.shards.unit import Transaction, UnitFunction
from kernel.sql import load_queries

_SQL = load_queries(Path(__file__).with_name("queries.sql"))

READ_SEALED_NAMES: Final = "tenants.read_sealed_names"
RESEAL_NAMES: Final = "tenants.reseal_names"
READ_SEALED_PROFILE: Final = "tenants.read_sealed_profile"
RESEAL_PROFILE: Final = "tenants.reseal_profile"


class SealedWanted(NamedTuple):
    """What is sealed under another key than one, so many at most. The prefix is of texts under that one.

    Attributes:
        kind: with ``name``, of the last that was read; empty to begin.
    """

    current_prefix: str
    kind: str
    name: str
    limit: int


class SealedName(NamedTuple):
    """A sealed secret of a credential, or of the request that issued it: both have the same context."""

    kind: str
    name: str
    tenant_id: str
    kid: str
    secret_sealed: str


class ResealedName(NamedTuple):
    """What is to stand in place of what was read."""

    kind: str
    name: str
    before: str
    after: str


class SealedProfile(NamedTuple):
    """What is sealed in a tenant's profile; None where there is nothing."""

    access_token: str
    paystack: str | None
    ozow: str | None


class ResealedProfile(NamedTuple):
    """What is to stand in place of what was read."""

    before: SealedProfile
    after: SealedProfile


async def read_sealed_names(transaction: Transaction, wanted: SealedWanted) -> list[SealedName]:
    """Secrets of this shard, by kind and name."""
    return [SealedName(*row) for row in await transaction.fetch(_SQL["read_sealed_names"], *wanted)]


async def reseal_names(transaction: Transaction, resealed: Sequence[ResealedName]) -> None:
    """Replace those that are still what was read."""
    await transaction.execute(_SQL["reseal_names"], *(list(column) for column in zip(*resealed, strict=True)))


async def read_sealed_profile(transaction: Transaction, _arguments: None) -> SealedProfile | None:
    """Of the tenant in whose context it runs."""
    row = await transaction.fetchrow(_SQL["read_sealed_profile"])
    return None if row is None else SealedProfile(*row)


async def reseal_profile(transaction: Transaction, resealed: ResealedProfile) -> None:
    """Replace it if it is still what was read."""
    await transaction.execute(_SQL["reseal_profile"], *resealed.before, *resealed.after)


UNITS: Mapping[str, UnitFunction] = MappingProxyType(
    {
        READ_SEALED_NAMES: read_sealed_names,
        RESEAL_NAMES: reseal_names,
        READ_SEALED_PROFILE: read_sealed_profile,
        RESEAL_PROFILE: reseal_profile,
    }
)
