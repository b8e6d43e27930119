"""One unit's transaction: begun with its tenant in one round trip, and what the unit may do inside."""

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, Protocol

from actors.mailbox.message import Message, Publication, PublishedRow
from actors.shards.errors import WrongTenantError
from actors.shards.session import ends_transaction, leaves_session_alone

_TENANT_ID = re.compile(r"[0-9a-f]{32}")
_POSITION = re.compile(r"[0-9A-F]{1,8}/[0-9A-F]{1,8}")
_LOCKS = range(-(2**63), 2**63)
_PUBLISH = "{publish}"
# PostgreSQL takes 1,664 in one SELECT.
_COLUMNS = 1_000


class Publisher(Protocol):
    """Writes messages into a shard's journal, inside a unit's transaction."""

    async def publish(
        self, connection: Any, shard: int, tenant_id: str, publication: Publication
    ) -> Sequence[PublishedRow]:
        """Route by the topology, insert the rows, and say where they stand."""


def schema_of(tenant_id: str) -> str:
    """The schema of a tenant's business, safe to put into a statement.

    Raises:
        WrongTenantError: not a tenant's id.
    """
    if _TENANT_ID.fullmatch(tenant_id) is None:
        raise WrongTenantError(tenant_id)
    return f"tenant_{tenant_id}"


def begin_statement(
    tenant_id: str, locks: Collection[int] = (), *, only_reads: bool = False, position_needed: str | None = None
) -> str:
    """Begin, with the tenant set for this transaction and its locks taken, as one text and so one round trip.

    Whatever settings an earlier unit left in the session are taken back first. That costs some microseconds, and no
    question finds them all: PostgreSQL lists no setting of a name of one's own.

    The text takes no parameters, which is why the id is checked to the letter and the keys for being integers. Locks
    are taken in ascending order, so that units which share some wait for each other and do not block each other.

    Args:
        tenant_id: empty sets none.
        locks: keys of advisory locks, in any order.
        only_reads: PostgreSQL refuses writes.
        position_needed: fails (22012) on a standby that has not replayed so far.

    Raises:
        WrongTenantError: not a tenant's id.
        ValueError: a key that is no 64-bit integer, or locks for what only reads; a position that is none.
    """
    if only_reads and locks:
        raise ValueError("what only reads, and maybe on a standby, takes no locks")
    calls: list[str] = []
    if tenant_id:
        schema_of(tenant_id)
        calls.append(f"set_config('app.current_tenant', '{tenant_id}', true)")
    for lock in sorted(locks):
        if type(lock) is not int or lock not in _LOCKS:
            raise ValueError("an advisory lock's key is a signed 64-bit integer")
        calls.append(f"pg_advisory_xact_lock({lock})")
    if position_needed is not None:
        if _POSITION.fullmatch(position_needed) is None:
            raise ValueError("a position is two hexadecimal numbers")
        # Before the snapshot of any statement of the unit.
        fresh = f"NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= '{position_needed}'::pg_lsn"
        calls.append(f"1 / ({fresh})::int")
    # One SELECT of many columns is cheaper than many, or than one of rows.
    selects = (calls[start : start + _COLUMNS] for start in range(0, len(calls), _COLUMNS))
    begin = "BEGIN READ ONLY; RESET ALL" if only_reads else "BEGIN; RESET ALL"
    return begin + "".join(f"; SELECT {', '.join(part)}" for part in selects)


@lru_cache(maxsize=4096)
def _of_schema(query: str, schema: str) -> str:
    # Remembered less for the replacing than because all connections then know the statement by one and the same text.
    return query.replace("{schema}", schema)


class ShardTransaction:
    """Implements ``actors.shards.unit.Transaction`` on a connection whose transaction has begun.

    Attributes:
        published: so far.
        failed: whether a statement failed or was given up, so that PostgreSQL may roll back where the unit commits.
        is_over: whether the unit has ended. What it has left behind finds nothing more here, for the connection is
            another tenant's next.
    """

    __slots__ = ("_connection", "_publisher", "failed", "is_over", "published", "schema", "shard", "tenant_id")

    def __init__(self, connection: Any, shard: int, tenant_id: str, publisher: Publisher | None) -> None:
        self._connection, self._publisher = connection, publisher
        self.shard, self.tenant_id = shard, tenant_id
        self.schema = schema_of(tenant_id) if tenant_id else ""
        self.published: list[PublishedRow] = []
        self.failed = self.is_over = False

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        text = self._text(query)
        try:
            rows: list[Any] = await self._connection.fetch(text, *arguments)
        except BaseException:
            self.failed = True
            raise
        return rows

    async def fetchrow(self, query: str, *arguments: Any) -> Any:
        text = self._text(query)
        try:
            return await self._connection.fetchrow(text, *arguments)
        except BaseException:
            self.failed = True
            raise

    async def execute(self, query: str, *arguments: Any) -> None:
        text = self._text(query)
        try:
            await self._connection.execute(text, *arguments)
        except BaseException:
            self.failed = True
            raise

    async def publish(self, exchange: str, routing_key: str, messages: Sequence[Message]) -> None:
        await self._publish(Publication(exchange, routing_key, messages))

    async def execute_and_publish(
        self, query: str, *arguments: Any, exchange: str, routing_key: str, messages: Sequence[Message]
    ) -> None:
        if not query.endswith(_PUBLISH):
            raise ValueError(f"a statement to publish with ends in {_PUBLISH}")
        statement = self._text(query.removesuffix(_PUBLISH))
        await self._publish(Publication(exchange, routing_key, messages, statement.rstrip(), arguments))

    async def _publish(self, publication: Publication) -> None:
        self._refuse_if_over()
        if self._publisher is None:
            raise RuntimeError("these shards were started without a publisher")
        try:
            rows = await self._publisher.publish(self._connection, self.shard, self.tenant_id, publication)
        except BaseException:
            self.failed = True
            raise
        self.published.extend(rows)

    def _refuse_if_over(self) -> None:
        if self.is_over:
            raise RuntimeError("the unit has ended, and its transaction with it")

    def _text(self, query: str) -> str:
        self._refuse_if_over()
        if not leaves_session_alone(query):
            if ends_transaction(query):
                raise RuntimeError("a unit's transaction is begun and ended for it")
            self._connection.suspect()
        if "{schema}" not in query:
            return query
        if not self.schema:
            raise RuntimeError("a system unit has no tenant's schema")
        return _of_schema(query, self.schema)
