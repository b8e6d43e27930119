"""What there is of tenants, for operators: lists over all shards, and one tenant in full."""

import heapq
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, NamedTuple, Protocol

from actors.shards.placement import SHARDS, shard_of
from actors.shards.unit import UnitCall, UnitRunner
from services.tenants import admin_store, store
from services.tenants.admin_store import DetailsRow, ListWanted, TenantRow
from services.tenants.errors import UnknownTenantError
from services.tenants.rows import DirectoryRows

_STEP_S: Final = 5.0


class Merged(NamedTuple):
    """The first rows of all shards together, in order.

    Attributes:
        missing: the shards that did not answer; their rows are not among these.
    """

    rows: list[TenantRow]
    missing: tuple[int, ...]


class EveryShard(Protocol):
    """Asks all shards for the first of their tenants at once."""

    async def first(self, wanted: ListWanted) -> Merged:
        """Those after ``wanted.after``, ``wanted.limit`` at most."""


class ShardsAtOnce:
    """Runs one unit on each shard and merges what comes back, each part being in order."""

    def __init__(self, shards: UnitRunner) -> None:
        self._shards = shards

    async def first(self, wanted: ListWanted) -> Merged:
        """See ``EveryShard``."""
        calls = [UnitCall(admin_store.LIST_TENANTS, shard, "", wanted) for shard in range(SHARDS)]
        outcomes = await self._shards.run(calls, timeout_s=_STEP_S)
        parts = [outcome.value for outcome in outcomes if outcome.error is None]
        merged = heapq.merge(*parts, key=lambda row: row.tenant_id)
        missing = tuple(shard for shard, outcome in enumerate(outcomes) if outcome.error is not None)
        return Merged(list(islice(merged, wanted.limit)), missing)


class TenantListing:
    """Reads tenants for operators. What is sealed is not shown."""

    def __init__(self, shards: UnitRunner, every_shard: EveryShard) -> None:
        self._shards, self._every = shards, every_shard
        self._rows = DirectoryRows(shards, step_s=_STEP_S)

    async def page(self, *, after: str, limit: int, removed_too: bool) -> dict[str, Any]:
        """Tenants in the order of their making.

        Returns:
            ``tenants``, ``next_cursor`` (None after the last), ``partial`` and ``missing_shards``: the tenants of
            those are left out, and come only when the page is asked for again.
        """
        rows, missing = await self._every.first(ListWanted(after, limit + 1, removed_too))
        shown, more = rows[:limit], len(rows) > limit
        return {
            "tenants": [{**_placed(row), "phone_numbers": list(row.phone_numbers)} for row in shown],
            "next_cursor": shown[-1].tenant_id if more else None,
            "partial": bool(missing),
            "missing_shards": list(missing),
        }

    async def row(self, tenant_id: str) -> TenantRow:
        """One tenant's placement.

        Raises:
            UnknownTenantError: there is none.
            ShardError: its shard does not answer.
        """
        call = UnitCall(admin_store.READ_TENANTS, shard_of(tenant_id), "", [tenant_id])
        [outcome] = await self._shards.run([call], timeout_s=_STEP_S)
        rows: list[TenantRow] = outcome.unwrap()
        if not rows:
            raise UnknownTenantError(tenant_id)
        return rows[0]

    async def show(self, tenant_id: str) -> dict[str, Any]:
        """One tenant with its numbers, credentials and profile.

        Raises:
            UnknownTenantError: there is none.
            ShardError: a shard that knows of it does not answer.
        """
        row = await self.row(tenant_id)
        document = _placed(row)
        if row.state in {"dropping", "removed"}:
            return document
        listed_numbers, listed_kids = row.phone_numbers, row.kids
        if not listed_numbers:
            # Made before placements listed them.
            listed_numbers, listed_kids = map(tuple, await self._rows.names_of(tenant_id))
        numbers = [UnitCall(store.FIND_PHONES, shard_of(one), "", [one]) for one in listed_numbers]
        kids = [UnitCall(store.FIND_CREDENTIALS, shard_of(one), "", [one]) for one in listed_kids]
        details = UnitCall(admin_store.READ_DETAILS, row.shard, tenant_id, None)
        values = [one.unwrap() for one in await self._shards.run([*numbers, *kids, details], timeout_s=_STEP_S)]
        found: DetailsRow = values[-1]
        return {
            **document,
            "phone_numbers": [
                {"phone_number_id": one.phone_number_id, "display_phone_number": one.display_phone_number}
                for one in _flat(values[: len(numbers)])
            ],
            "location": {"lat": found.latitude, "lon": found.longitude},
            "whatsapp": {"waba_id": found.waba_id, "catalog_id": found.catalog_id},
            "payments": [gateway for gateway in ("paystack", "ozow") if getattr(found, gateway)],
            "credentials": [
                {
                    "kid": one.kid,
                    "algorithm": one.algorithm,
                    "created_at": moment(one.created_at),
                    "expires_at": None if one.expires_at is None else moment(one.expires_at),
                }
                for one in _flat(values[len(numbers) : -1])
            ],
        }


def moment(seconds: float) -> str:
    """RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _placed(row: TenantRow) -> dict[str, Any]:
    return {
        "tenant_id": row.tenant_id,
        "name": row.name,
        "state": row.state,
        "shard_id": row.shard,
        "epoch": row.epoch,
        "limits": {"minute": row.limit_minute, "hour": row.limit_hour},
        "created_at": moment(row.placed_at),
        "changed_at": moment(row.changed_at),
    }


def _flat(lists: Sequence[list[Any]]) -> list[Any]:
    return [one for found in lists for one in found]
