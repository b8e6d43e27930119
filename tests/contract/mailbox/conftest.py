"""A real PostgreSQL with the journal's schema, and journals on it under the mailbox's own role."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from actors.mailbox.connections import Connections
from actors.mailbox.journal import Journal
from actors.mailbox.memory_journal import InMemoryJournal, MemoryDatabase
from actors.mailbox.message import Message, Publication
from actors.mailbox.postgres_journal import Patience, PostgresJournal
from actors.mailbox.transactional import TransactionalPublisher
from actors.shards.dsn import shard_dsn
from cluster.postgres import PostgresServer, start_postgres
from config.topology import Topology

SCHEMA = (Path(__file__).parents[3] / "actors/mailbox/schema.sql").read_text()
# A busy machine may take its time.
PATIENCE = Patience(write_s=60.0, take_over_s=60.0, tick_s=60.0, load_s=60.0, count_s=60.0)
_numbers = count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    folder = tmp_path_factory.mktemp("pg")
    # What the planner knows is the tests' own affair.
    server = start_postgres(folder / "data", folder / "run", tuning={"fsync": "off", "autovacuum": "off"})
    yield server
    server.stop(mode="immediate")


@pytest.fixture
async def owner(server: PostgresServer) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """The databases' own user, on shard 0, with the schema applied."""
    connection = await asyncpg.connect(server.database_dsn("shard_00"))
    if not await connection.fetchval("SELECT to_regclass('spaza.mailbox_owner') IS NOT NULL"):
        await connection.execute(SCHEMA)
        for role in ("spaza_system", "spaza_app"):
            await connection.execute(f"ALTER ROLE {role} LOGIN PASSWORD 'secret'")
    yield connection
    await connection.close()


@pytest.fixture
def queue_name() -> str:
    """A queue of the test's own, for they share a database."""
    return f"queue.{next(_numbers)}"


@pytest.fixture(params=["memory", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    """Of the journal."""
    return str(request.param)


@pytest.fixture
def memory() -> MemoryDatabase:
    """The double's rows."""
    return MemoryDatabase()


@pytest.fixture
def either(request: pytest.FixtureRequest, kind: str, memory: MemoryDatabase) -> Callable[[], Journal]:
    """Makes journals of the test's queue on one database, of the double and of the real one."""
    if kind == "memory":
        return lambda: InMemoryJournal(memory)
    make: Callable[[], Journal] = request.getfixturevalue("journals")
    return make


class Unit:
    """A unit of work that publishes into the test's queue, by shard, and commits when it is told to."""

    def __init__(self, publish: Callable[[Message], Awaitable[int]], commit: Callable[[], Awaitable[None]]) -> None:
        self.publish, self.commit = publish, commit


@pytest.fixture
async def units(
    request: pytest.FixtureRequest, kind: str, memory: MemoryDatabase, queue_name: str
) -> AsyncIterator[Callable[[], Awaitable[Unit]]]:
    """Begins units of work on the database of ``either``."""
    connections: list[asyncpg.Connection[asyncpg.Record]] = []

    async def in_memory() -> Unit:
        unit = memory.unit()

        async def publish(message: Message) -> int:
            return unit.publish(message)

        async def commit() -> None:
            unit.commit()

        return Unit(publish, commit)

    async def in_postgres() -> Unit:
        server: PostgresServer = request.getfixturevalue("server")
        connection = await asyncpg.connect(server.database_dsn("shard_00"))
        connections.append(connection)
        transaction = connection.transaction()
        await transaction.start()
        publisher = TransactionalPublisher(by_shard(queue_name))

        async def publish(message: Message) -> int:
            (row,) = await publisher.publish(connection, 0, message.tenant, Publication("x", "", [message]))
            return row.seq

        return Unit(publish, transaction.commit)

    yield in_memory if kind == "memory" else in_postgres
    for connection in connections:
        await connection.close()


def by_shard(queue: str) -> Topology:
    """The test's queue as units of work publish to it."""
    return Topology.model_validate(
        {
            "exchanges": {"x": {"type": "fanout"}},
            "queues": {queue: {"bindings": [{"exchange": "x"}], "partition_by": "shard", "partitions": 32}},
        }
    )


@pytest.fixture
async def journals(
    server: PostgresServer, owner: object, queue_name: str
) -> AsyncIterator[Callable[[], PostgresJournal]]:
    """Makes journals of the test's queue, each with a connection of its own, as each owner has."""
    made: list[PostgresJournal] = []

    def make() -> PostgresJournal:
        dsn = shard_dsn(server.tcp_dsn, 0, "spaza_system", "secret")
        journal = PostgresJournal(Connections(dsn, 3), queue_name, f"dlq.{queue_name}", 0, PATIENCE)
        made.append(journal)
        return journal

    yield make
    for journal in made:
        await journal.aclose()
