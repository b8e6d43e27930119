"""A real PostgreSQL with the journal's schema, and journals on it under the mailbox's own role."""

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from actors.mailbox.connections import Connections
from actors.mailbox.journal import Journal
from actors.mailbox.memory_journal import InMemoryJournal, MemoryDatabase
from actors.mailbox.postgres_journal import Patience, PostgresJournal
from actors.shards.dsn import shard_dsn
from cluster.postgres import PostgresServer, start_postgres

SCHEMA = (Path(__file__).parents[3] / "actors/mailbox/schema.sql").read_text()
_numbers = count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    folder = tmp_path_factory.mktemp("pg")
    server = start_postgres(folder / "data", folder / "run", tuning={"fsync": "off"})
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
def either(request: pytest.FixtureRequest) -> Callable[[], Journal]:
    """Makes journals of the test's queue on one database, of the double and of the real one."""
    if request.param == "memory":
        database = MemoryDatabase()
        return lambda: InMemoryJournal(database)
    make: Callable[[], Journal] = request.getfixturevalue("journals")
    return make


@pytest.fixture
async def journals(
    server: PostgresServer, owner: object, queue_name: str
) -> AsyncIterator[Callable[[], PostgresJournal]]:
    """Makes journals of the test's queue, each with a connection of its own, as each owner has."""
    made: list[PostgresJournal] = []

    def make() -> PostgresJournal:
        dsn = shard_dsn(server.tcp_dsn, 0, "spaza_system", "secret")
        journal = PostgresJournal(Connections(dsn, 3), queue_name, f"dlq.{queue_name}", 0, Patience(write_s=3.0))
        made.append(journal)
        return journal

    yield make
    for journal in made:
        await journal.aclose()
