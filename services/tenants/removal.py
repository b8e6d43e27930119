"""Taking a tenant away: its rows are exported, then its schema, numbers and credentials go."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

import orjson

from actors.shards import tenant_rows
from actors.shards.placement import SHARDS, shard_of
from actors.shards.tenant_rows import PageWanted, TableDigest, TenantPage, TenantTable
from actors.shards.unit import UnitCall, UnitRunner, run_one
from services.admin.edge import followed_id
from services.tenants import admin_store
from services.tenants.admin_store import StateChange, TenantRow
from services.tenants.directory import TenantDirectory
from services.tenants.errors import RowsChangedError, TenantStateError
from services.tenants.listing import TenantListing
from services.tenants.states import ACTIVE, DROPPING, REMOVED, REMOVING, SUSPENDED
from telemetry.log import get_logger

_STEP_S: Final = 20.0
_PAGE_ROWS: Final = 200
_log = get_logger("tenants")


class SchemaRemover(Protocol):
    """Takes schemas away as the owner of the databases."""

    async def drop(self, tenant_id: str, shard: int, unchanged: Callable[[], Awaitable[bool]]) -> bool:
        """Take it away unless something changed; see ``TenantSchemas.drop``."""


class ExportPlace(NamedTuple):
    """Where an export that broke is gone on with: the last row that arrived."""

    table: str
    key: tuple[str, ...]


class Export(NamedTuple):
    """An export that is ready to be sent, line by line."""

    digest: str
    lines: AsyncIterator[bytes]


class TenantRemoval:
    """Exports and removes tenants.

    An export is JSON lines: first ``{"export", "tenant_id", "name", "digest"}``; then every row, as ``{"table", "key",
    "row"}``, without what is sealed, in the order of tables and keys; last ``{"end": true, "rows", "digest"}``. Without
    its last line it broke off, and is gone on with behind its last row.

    Steps of a removal, after the tenant was given up: its schema goes if its rows are still those of the digest; what
    points to it goes from all shards; its placement is marked as removed. Each may be repeated, and a repeated call
    goes through all of them.
    """

    def __init__(
        self, shards: UnitRunner, listing: TenantListing, schemas: SchemaRemover, directory: TenantDirectory
    ) -> None:
        self._shards, self._listing, self._schemas, self._directory = shards, listing, schemas, directory

    async def export(self, tenant_id: str, *, place: ExportPlace | None, digest: str | None) -> Export:
        """Begin an export, or go on with one.

        Args:
            tenant_id: of a tenant in any state but ``removed``.
            place: the last row that arrived; None for all of it.
            digest: from the first line of an export that is gone on with.

        Raises:
            UnknownTenantError: there is none.
            TenantStateError: nothing of it is left.
            RowsChangedError: other rows are there than when it began; it has to begin anew.
            ShardError: its shard does not answer.
        """
        row = await self._listing.row(tenant_id)
        if row.state == REMOVED:
            raise TenantStateError(tenant_id, row.state, "nothing of it is left")
        tables = await self._tables(row)
        found = await self._digest(row, tables)
        if (await self._listing.row(tenant_id)).epoch != row.epoch:
            # It has moved meanwhile, and where it was there may have been nothing any more.
            return await self.export(tenant_id, place=place, digest=digest)
        if digest is not None and digest != found:
            raise RowsChangedError(tenant_id)
        return Export(found, self._lines(row, tables, place, found))

    async def remove(self, tenant_id: str, *, digest: str) -> None:
        """Take all of it away. Again changes nothing.

        Args:
            tenant_id: of a tenant that was given up.
            digest: from the last line of its export, which says that it has all rows.

        Raises:
            UnknownTenantError: there is none.
            TenantStateError: it was not given up first.
            RowsChangedError: other rows are there than were exported; nothing was taken away.
            ShardError: a shard did not do its part; calling again goes on from there.
        """
        row = await self._listing.row(tenant_id)
        if row.state in {ACTIVE, SUSPENDED}:
            raise TenantStateError(tenant_id, row.state, "have it removed first with POST /remove, and export its rows")
        if row.state != REMOVED:
            await self._drop(row, digest)
        calls = [UnitCall(admin_store.FORGET_NAMES, shard, "", tenant_id) for shard in range(SHARDS)]
        for outcome in await self._shards.run(calls, timeout_s=_STEP_S):
            outcome.unwrap()
        await self._directory.forget(row.phone_numbers, kids=row.kids, tenant_id=tenant_id)
        await self._one(admin_store.BURY_TENANT, shard_of(tenant_id), tenant_id)
        _log.info("tenant_removed", tenant_id=tenant_id, shard=row.shard, correlation_id=followed_id())

    async def _drop(self, row: TenantRow, digest: str) -> None:
        home = shard_of(row.tenant_id)
        change = StateChange(row.tenant_id, DROPPING, (REMOVING, DROPPING))
        if not await self._one(admin_store.SET_STATE, home, change):
            raise TenantStateError(row.tenant_id, ACTIVE, "it was resumed meanwhile, or is being moved")
        # From here on it stays where it is.
        row = await self._listing.row(row.tenant_id)

        async def unchanged() -> bool:
            return await self._digest(row, await self._tables(row)) == digest

        if not await self._schemas.drop(row.tenant_id, row.shard, unchanged):
            await self._one(admin_store.SET_STATE, home, StateChange(row.tenant_id, REMOVING, (DROPPING,)))
            raise RowsChangedError(row.tenant_id)

    async def _lines(
        self, row: TenantRow, tables: Sequence[TenantTable], place: ExportPlace | None, digest: str
    ) -> AsyncIterator[bytes]:
        if place is None:
            yield _line({"export": 1, "tenant_id": row.tenant_id, "name": row.name, "digest": digest})
        for table in tables:
            if place is not None and table.name < place.table:
                continue
            after = place.key if place is not None and table.name == place.table else None
            while True:
                wanted = PageWanted(table, after, _PAGE_ROWS)
                page: TenantPage = await self._one(tenant_rows.PAGE, row.shard, wanted, tenant_id=row.tenant_id)
                for key, text in page.rows:
                    yield _line({"table": table.name, "key": key, "row": orjson.Fragment(text)})
                if len(page.rows) < _PAGE_ROWS:
                    break
                after = page.rows[-1][0]
        digests = await self._digests(row, tables)
        whole = _together(tables, digests) == digest
        rows = {table.name: found.rows for table, found in zip(tables, digests, strict=True)}
        yield _line({"end": whole, "rows": rows, "digest": digest})

    async def _tables(self, row: TenantRow) -> list[TenantTable]:
        tables: list[TenantTable] = await self._one(tenant_rows.TABLES, row.shard, None, tenant_id=row.tenant_id)
        return tables

    async def _digest(self, row: TenantRow, tables: Sequence[TenantTable]) -> str:
        return _together(tables, await self._digests(row, tables))

    async def _digests(self, row: TenantRow, tables: Sequence[TenantTable]) -> list[TableDigest]:
        calls = [UnitCall(tenant_rows.DIGEST, row.shard, row.tenant_id, table) for table in tables]
        return [outcome.unwrap() for outcome in await self._shards.run(calls, timeout_s=_STEP_S)] if calls else []

    async def _one(self, unit: str, shard: int, arguments: Any, *, tenant_id: str = "") -> Any:
        return await run_one(self._shards, UnitCall(unit, shard, tenant_id, arguments), timeout_s=_STEP_S)


def _together(tables: Sequence[TenantTable], digests: Sequence[TableDigest]) -> str:
    parts = [[table.name, *found] for table, found in zip(tables, digests, strict=True)]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def _line(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document) + b"\n"
