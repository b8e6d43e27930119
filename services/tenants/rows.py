"""Reads the directory's rows: from the numbers' shards to the tenants' shards to where the tenants live."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from actors.shards.placement import SHARDS, shard_of
from actors.shards.unit import UnitCall, UnitOutcome, UnitRunner
from services.tenants.states import GONE
from services.tenants.store import (
    FIND_CREDENTIALS,
    FIND_PHONES,
    FIND_PLACEMENTS,
    NAMES_OF,
    READ_PROFILE,
    CredentialRow,
    PhoneRow,
    PlacementRow,
    ProfileRow,
)
from services.tenants.tenant import Credential, Tenant
from telemetry.log import get_logger

_log = get_logger("directory")


class DirectoryRows:
    """Looks tenants up on the shards, each step for all numbers at once.

    A number's shard and its tenant's are different ones, so it takes three steps; what does not answer makes only its
    own numbers missing.
    """

    def __init__(self, shards: UnitRunner, *, step_s: float) -> None:
        self._shards, self._step_s = shards, step_s

    async def read(self, phone_number_ids: Sequence[str]) -> dict[str, Tenant | None]:
        """The tenants of these numbers, None where there is none; what could not be read now is not among the keys."""
        rows, unread = await self._by_shard(FIND_PHONES, phone_number_ids)
        phones: Mapping[str, PhoneRow] = {row.phone_number_id: row for row in rows}
        placements, unplaced = await self._placements({phone.tenant_id for phone in phones.values()})
        profiles, unprofiled = await self._profiles(list(placements.values()))
        unknown = unplaced | unprofiled
        found: dict[str, Tenant | None] = {}
        for number in phone_number_ids:
            phone = phones.get(number)
            if number in unread or (phone is not None and phone.tenant_id in unknown):
                continue
            # A number that is held for a tenant which is still being made is nobody's yet, or being removed, no more.
            placement = None if phone is None else placements.get(phone.tenant_id)
            if phone is None or placement is None:
                found[number] = None
            else:
                found[number] = _tenant(phone, placement, profiles[phone.tenant_id])
        return found

    async def read_credentials(self, kids: Sequence[str]) -> dict[str, Credential | None]:
        """The credentials of these names, None where there is none; what could not be read is not among the keys."""
        rows, unread = await self._by_shard(FIND_CREDENTIALS, kids)
        credentials: Mapping[str, CredentialRow] = {row.kid: row for row in rows}
        placements, unplaced = await self._placements({row.tenant_id for row in rows})
        found: dict[str, Credential | None] = {}
        for kid in kids:
            row = credentials.get(kid)
            if kid in unread or (row is not None and row.tenant_id in unplaced):
                continue
            placement = None if row is None else placements.get(row.tenant_id)
            found[kid] = None if row is None or placement is None else _credential(row, placement)
        return found

    async def names_of(self, tenant_id: str) -> tuple[list[str], list[str]]:
        """The numbers and the kids of a tenant, from all shards.

        Raises:
            ShardError: one did not answer.
        """
        calls = [UnitCall(NAMES_OF, shard, "", tenant_id) for shard in range(SHARDS)]
        numbers: list[str] = []
        kids: list[str] = []
        for outcome in await self._run(calls):
            found, also = outcome.unwrap()
            numbers += found
            kids += also
        return numbers, kids

    async def _placements(self, tenant_ids: Collection[str]) -> tuple[Mapping[str, PlacementRow], set[str]]:
        """Where those of these tenants are that can be found, and those of which it could not be asked now."""
        rows, unplaced = await self._by_shard(FIND_PLACEMENTS, tenant_ids)
        return {row.tenant_id: row for row in rows if row.state not in GONE}, unplaced

    async def _by_shard(self, unit: str, keys: Collection[str]) -> tuple[list[Any], set[str]]:
        """The rows of all keys, each asked of its own shard; and the keys that were not answered."""
        by_shard: defaultdict[int, list[str]] = defaultdict(list)
        for key in keys:
            by_shard[shard_of(key)].append(key)
        calls = [UnitCall(unit, shard, "", asked) for shard, asked in by_shard.items()]
        rows: list[Any] = []
        unanswered: set[str] = set()
        for call, outcome in zip(calls, await self._run(calls), strict=True):
            if outcome.error is None:
                rows.extend(outcome.value)
            else:
                unanswered.update(call.arguments)
        return rows, unanswered

    async def _profiles(self, placements: Sequence[PlacementRow]) -> tuple[dict[str, ProfileRow], set[str]]:
        calls = [UnitCall(READ_PROFILE, placement.shard, placement.tenant_id, None) for placement in placements]
        profiles: dict[str, ProfileRow] = {}
        unanswered: set[str] = set()
        for call, outcome in zip(calls, await self._run(calls), strict=True):
            if outcome.error is None and outcome.value is not None:
                profiles[call.tenant_id] = outcome.value
            else:
                unanswered.add(call.tenant_id)
        return profiles, unanswered

    async def _run(self, calls: Sequence[UnitCall]) -> list[UnitOutcome]:
        if not calls:
            return []
        outcomes = await self._shards.run(calls, timeout_s=self._step_s)
        for call, outcome in zip(calls, outcomes, strict=True):
            if outcome.error is not None:
                _log.warning("directory_read_failed", unit=call.name, shard=call.shard, error=outcome.error.code)
        return outcomes


def _tenant(phone: PhoneRow, placement: PlacementRow, profile: ProfileRow) -> Tenant:
    return Tenant(
        tenant_id=placement.tenant_id,
        name=placement.name,
        shard=placement.shard,
        epoch=placement.epoch,
        state=placement.state,
        phone_number_id=phone.phone_number_id,
        display_phone_number=phone.display_phone_number,
        access_token_sealed=profile.access_token_sealed,
        latitude=profile.latitude,
        longitude=profile.longitude,
        waba_id=profile.waba_id,
        catalog_id=profile.catalog_id,
        limits=placement.limits,
    )


def _credential(row: CredentialRow, placement: PlacementRow) -> Credential:
    return Credential(
        kid=row.kid,
        tenant_id=row.tenant_id,
        algorithm=row.algorithm,
        secret_sealed=row.secret_sealed,
        expires_at=row.expires_at,
        shard=placement.shard,
        epoch=placement.epoch,
        state=placement.state,
        limits=placement.limits,
    )
