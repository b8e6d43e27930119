"""What there is of tenants, for operators: lists over all shards, and one tenant in full."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from actors.shards.fan_out import FanOut
from actors.shards.placement import shard_of
from actors.shards.unit import UnitCall, UnitRunner
from services.tenants import admin_store, move_store, store
from services.tenants.admin_store import LISTING, DetailsRow, TenantRow
from services.tenants.errors import UnknownTenantError
from services.tenants.move_store import MoveRow
from services.tenants.rows import DirectoryRows

_STEP_S: Final = 5.0


class TenantListing:
    """Reads tenants for operators. What is sealed is not shown."""

    def __init__(self, shards: UnitRunner, *, staleness_s: float = 0.0) -> None:
        """Ask nobody yet.

        Args:
            shards: run the units.
            staleness_s: a page may be so old, and is read from standbys where there are any, unless who asks wants it
                otherwise. One tenant is always read as it is.
        """
        self._shards, self._fan_out, self._staleness_s = shards, FanOut(shards), staleness_s
        self._rows = DirectoryRows(shards, step_s=_STEP_S)

    async def page(
        self, *, cursor: str | None, limit: int, removed_too: bool, staleness_s: float | None = None
    ) -> dict[str, Any]:
        """Tenants in the order of their making.

        Args:
            cursor: from the page before; None begins.
            limit: of tenants.
            removed_too: whether those are listed that were removed.
            staleness_s: as it may be; 0 asks the primaries alone, None is as usual.

        Returns:
            ``tenants``, ``next_cursor`` (None after the last), ``partial`` and ``missing_shards``: the tenants of
            those are left out, and come only when the page is asked for again.

        Raises:
            InvalidCursorError: the cursor is none of ours.
            ShardsMissingError: no shard answers.
        """
        staleness_s = self._staleness_s if staleness_s is None else staleness_s
        page = await self._fan_out.page(
            LISTING, removed_too, limit=limit, cursor=cursor, timeout_s=_STEP_S, partial=True,
            max_staleness_s=staleness_s if staleness_s > 0 else None,
        )  # fmt: skip
        return {
            "tenants": [{**_placed(row), "phone_numbers": list(row.phone_numbers)} for row in page.rows],
            "next_cursor": page.next_cursor,
            "partial": page.partial,
            "missing_shards": sorted(page.missing),
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

    async def _row_and_move(self, tenant_id: str) -> tuple[TenantRow, MoveRow | None]:
        units = (admin_store.READ_TENANTS, move_store.READ_MOVES)
        calls = [UnitCall(unit, shard_of(tenant_id), "", [tenant_id]) for unit in units]
        rows, moves = [one.unwrap() for one in await self._shards.run(calls, timeout_s=_STEP_S)]
        if not rows:
            raise UnknownTenantError(tenant_id)
        return rows[0], next(iter(moves), None)

    async def show(self, tenant_id: str) -> dict[str, Any]:
        """One tenant with its numbers, credentials and profile.

        Raises:
            UnknownTenantError: there is none.
            ShardError: a shard that knows of it does not answer.
        """
        row, move = await self._row_and_move(tenant_id)
        document = _placed(row)
        if move is not None and move.move_to is not None:
            document["moving"] = {"from_shard_id": move.move_from, "to_shard_id": move.move_to, "step": move.step}
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
        "limits": row.limits.document(),
        "created_at": moment(row.placed_at),
        "changed_at": moment(row.changed_at),
    }


def _flat(lists: Sequence[list[Any]]) -> list[Any]:
    return [one for found in lists for one in found]
