"""One of the two shards of a move, as the owner of its database: the tenant's rows as they are there."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import asyncpg

from actors.shards import moved_tables
from actors.shards.catalog import Catalog, catalog_of
from actors.shards.dsn import shard_dsn
from actors.shards.errors import SetupError
from actors.shards.finding import connect
from actors.shards.move_errors import MoveRefusedError
from actors.shards.moved_tables import INBOUND, SHARED_SCHEMA, MovedTable
from actors.shards.roles import APP_ROLE
from actors.shards.transaction import schema_of
from kernel.sql import load_queries

QUERIES: Final = load_queries(Path(__file__).with_name("move_queries.sql"))
_CATALOG: Final = load_queries(Path(__file__).with_name("catalog.sql"))
# Rows are compared as text, so both sides are to write them the same way. A mover that stands still for long loses its
# session, and with it the right to go on.
_SETTINGS: Final = {
    "application_name": "spaza move",
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "jit": "off",
    "idle_in_transaction_session_timeout": "1h",
    "idle_session_timeout": "1h",
}
_CONNECT_S: Final = 5.0
# Any statement but those of a copy, which take as long as there are rows; they would have the limit of the others
# if they were given none.
_COMMAND_S: Final = 600.0
_COPY_S: Final = 6 * 3600.0
_CHUNKS: Final = 8
# How often a copy is looked at, whether its sessions still stand.
_LOOK_S: Final = 0.5


class Digest(NamedTuple):
    """How many rows a table has, and a sum over their contents."""

    rows: int
    total: str


class MoveSide:
    """A session on one shard. Only it may write there, as long as its lock is held; that ends with the session."""

    def __init__(self, connection: "asyncpg.Connection[Any]", tenant_id: str, shard: int) -> None:
        self.connection, self.tenant_id, self.shard = connection, tenant_id, shard
        self.schema = schema_of(tenant_id)

    @classmethod
    async def open(cls, dsn_template: str, tenant_id: str, shard: int) -> Self:
        """Connect to the shard's primary as the owner, in the tenant's context.

        Raises:
            asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError: it cannot be reached.
            SetupError: the owner cannot see a tenant's rows.
        """
        connection = await connect(
            shard_dsn(dsn_template, shard),
            timeout_s=_CONNECT_S,
            command_timeout=_COMMAND_S,
            statement_cache_size=0,
            server_settings=_SETTINGS,
        )
        try:
            side = cls(connection, tenant_id, shard)
            await side._see_rows()
            await side.act()
        except BaseException:
            connection.terminate()
            raise
        return side

    async def act(self) -> None:
        """Be in the tenant's context from now on; again where migrations were run, which begin without any."""
        await self.connection.execute(QUERIES["act_for"], self.tenant_id)

    async def close(self) -> None:
        """End the session, and with it the lock."""
        try:
            await self.connection.close(timeout=_CONNECT_S)
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self.connection.terminate()

    def cut(self) -> None:
        """End the session here and now; the server notices when it can."""
        self.connection.terminate()

    async def lock(self) -> bool:
        """Take the lock that migrations of the tenant take as well; False if somebody has it."""
        taken: bool = await self.connection.fetchval(QUERIES["try_lock"], self.schema)
        return taken

    async def tables(self) -> list[MovedTable]:
        """What goes with the tenant, in the order in which rows may be written.

        Raises:
            MoveRefusedError: a table has no primary key.
        """
        found = {row["name"]: row for row in await self.connection.fetch(QUERIES["tables"], self.schema)}
        tables: list[MovedTable] = []
        for name in moved_tables.in_order({name: row["parents"] for name, row in found.items()}):
            row = found[name]
            if row["key"] is None:
                raise MoveRefusedError(self.tenant_id, f"its table {name} has no primary key")
            tables.append(MovedTable(self.schema, name, tuple(row["columns"]), tuple(row["key"]), row["referenced"]))
        shared = {row["name"]: row for row in await self.connection.fetch(QUERIES["tables"], SHARED_SCHEMA)}
        row = shared[INBOUND]
        tables.append(MovedTable(SHARED_SCHEMA, INBOUND, tuple(row["columns"]), tuple(row["key"]), shared=True))
        return tables

    async def catalog(self) -> Catalog:
        """What the tenant's schema is made of, but for who may enter it."""
        async with self.connection.transaction(readonly=True):
            await self.connection.execute("SET LOCAL search_path = pg_catalog")
            rows = await self.connection.fetch(_CATALOG["describe"], [self.schema])
        entrance = ("grant", "schema", f"{APP_ROLE} USAGE")
        described = [(row["kind"], row["name"], row["definition"]) for row in rows]
        return catalog_of([one for one in described if one != entrance], self.schema, self.tenant_id)

    async def version(self) -> int:
        """How far the tenant's schema was migrated; 0 where there is none."""
        version: int | None = await self.connection.fetchval(QUERIES["version"], self.schema)
        return 0 if version is None else version

    async def digests(self, tables: Sequence[MovedTable]) -> list[Digest]:
        """Of each table, in their order."""
        rows = await self.connection.fetch(moved_tables.digests(tables), self.tenant_id)
        return [Digest(*row[1:]) for row in sorted(rows, key=lambda row: row[0])]

    async def sequences(self) -> dict[str, tuple[int, bool]]:
        """Where the schema's sequences stand."""
        found: dict[str, tuple[int, bool]] = {}
        for row in await self.connection.fetch(QUERIES["sequences"], self.schema):
            path = f'{self.schema}."{row[0]}"'
            [[value, is_called]] = await self.connection.fetch(f"SELECT last_value, is_called FROM {path}")  # noqa: S608
            found[path] = (value, is_called)
        return found

    async def set_sequences(self, sequences: Mapping[str, tuple[int, bool]]) -> None:
        """Let them go on from there."""
        for path, (value, is_called) in sequences.items():
            await self.connection.execute("SELECT setval($1::text::regclass, $2, $3)", path, value, is_called)

    async def close_entrance(self) -> None:
        """From now on no statement of a unit finds the schema, however long ago it was prepared."""
        await self.connection.execute(f"REVOKE USAGE ON SCHEMA {self.schema} FROM {APP_ROLE}")

    async def open_entrance(self) -> None:
        """Units may use the schema, if there is one."""
        if await self.connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", self.schema):
            await self.connection.execute(f"GRANT USAGE ON SCHEMA {self.schema} TO {APP_ROLE}")

    async def clear(self) -> None:
        """Away with all that is the tenant's here. Messages stay, as what became of them does."""
        async with self.connection.transaction():
            await self.connection.execute("SET LOCAL lock_timeout = '5s'")
            await self.connection.execute(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")
            await self.connection.execute(QUERIES["forget_version"], self.schema)
            await self.connection.execute(QUERIES["forget_inbound"], self.tenant_id)

    async def _see_rows(self) -> None:
        if await self.connection.fetchval(QUERIES["sees_rows"]):
            return
        try:
            await self.connection.execute(QUERIES["see_rows"])
        except asyncpg.InsufficientPrivilegeError as error:
            raise SetupError(
                "the move", f"the databases' owner is no member of {APP_ROLE}: GRANT {APP_ROLE} to it"
            ) from error
        if not await self.connection.fetchval(QUERIES["sees_rows"]):
            raise SetupError(
                "the move", f"the databases' owner does not inherit {APP_ROLE}: GRANT it WITH INHERIT TRUE"
            )


async def pump(
    source: MoveSide,
    query: str,
    arguments: Sequence[Any],
    target: MoveSide,
    table: str,
    *,
    look_s: float = _LOOK_S,
) -> None:
    """Send the rows of a query into a table of the other side's session, as they are read.

    Args:
        source: runs the query.
        query: gives the columns of the table, in their order.
        arguments: of the query.
        target: has the table.
        table: its name there.
        look_s: how often it is looked whether both sessions still stand.

    Raises:
        ConnectionError: a session was lost.
        asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError: a side failed.
    """
    chunks: asyncio.Queue[bytes | None] = asyncio.Queue(_CHUNKS)

    async def read() -> None:
        await source.connection.copy_from_query(query, *arguments, output=chunks.put, format="binary", timeout=_COPY_S)
        await chunks.put(None)

    async def arriving() -> AsyncIterator[bytes]:
        while (chunk := await chunks.get()) is not None:
            yield chunk

    async with asyncio.TaskGroup() as group:
        watch = group.create_task(_watch(source, target, look_s=look_s))
        group.create_task(read())
        await target.connection.copy_to_table(table, source=arriving(), format="binary", timeout=_COPY_S)
        watch.cancel()


async def _watch(*sides: MoveSide, look_s: float) -> None:
    """Fail when a session is lost: a copy that waits for the other side does not look, and would wait for its limit."""
    while True:
        if any(side.connection.is_closed() for side in sides):
            break
        await asyncio.sleep(look_s)
    for side in sides:
        side.cut()
    raise ConnectionResetError("a session was lost in the middle of a copy")
