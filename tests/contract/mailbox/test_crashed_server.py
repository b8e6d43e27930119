"""A server that crashes and forgets what it had not written yet, under an owner that goes on."""

import os
import signal
from pathlib import Path
from typing import Any

import asyncpg

from actors.mailbox.connections import Connections
from actors.mailbox.journal import Look, Progress, Tick
from actors.mailbox.memory_journal import MemoryDatabase
from actors.mailbox.message import Publication
from actors.mailbox.postgres_journal import PostgresJournal
from actors.mailbox.transactional import TransactionalPublisher
from actors.shards.dsn import shard_dsn
from cluster.postgres import start_postgres
from tests.contract.mailbox.conftest import PATIENCE, SCHEMA, by_shard
from tests.unit.actors.mailbox.test_partition import FAST, message, running, until
from tests.unit.actors.mailbox.test_partition_by_shard import BY_SHARD, read

_WRITES_LATE = {"fsync": "off", "wal_writer_delay": "10s", "autovacuum": "off", "bgwriter_lru_maxpages": "0"}
_WRITER = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"


class Looking(PostgresJournal):
    """Knows below which transaction all were over at the last look."""

    seen = 0

    async def tick(self, epoch: int, progress: Progress, look: Look) -> Tick:
        tick = await super().tick(epoch, progress, look)
        self.seen = int(tick.swept_to)
        return tick


async def test_what_is_published_under_a_transaction_id_that_was_given_before_the_crash_is_found(
    tmp_path: Path,
) -> None:
    server = start_postgres(tmp_path / "data", tmp_path / "run", tuning=_WRITES_LATE)
    try:
        connection = await asyncpg.connect(server.database_dsn("shard_00"))
        await connection.execute(SCHEMA)
        await connection.execute("ALTER ROLE spaza_system LOGIN PASSWORD 'secret'")
        connections = Connections(shard_dsn(server.tcp_dsn, 0, "spaza_system", "secret"), 3)
        journal: Any = Looking(connections, "q", "", 0, PATIENCE)
        policy = FAST._replace(ownership=FAST.ownership._replace(renew_s=1.0))
        async with running(MemoryDatabase(), journal=journal, policy=policy, **BY_SHARD) as owner:
            await read(owner)
            # Nobody writes any more what nobody waits for.
            writer = await connection.fetchval(_WRITER)
            os.kill(writer, signal.SIGSTOP)
            # Commits that nobody waits for, as renewals are.
            await connection.execute("SET synchronous_commit = off")
            await connection.execute(
                "DO $$ BEGIN FOR i IN 1..300 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
            )
            given = await connection.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
            await until(lambda: journal.seen >= given)
            os.kill(writer, signal.SIGKILL)
            server.stop(mode="immediate")
            server.start()
            connection = await asyncpg.connect(server.database_dsn("shard_00"))

            publisher = TransactionalPublisher(by_shard("q"))
            async with connection.transaction():
                await publisher.publish(connection, 0, "t", Publication("x", "", [message("m1")]))
                assert await connection.fetchval("SELECT pg_current_xact_id()::text::bigint") < given

            assert await owner.consume(1) == ["m1"]
        await connection.close()
        await journal.aclose()
    finally:
        server.stop(mode="immediate")
