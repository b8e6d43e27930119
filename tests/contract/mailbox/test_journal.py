"""What the journal promises, on a real PostgreSQL."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from actors.mailbox.errors import JournalUnavailableError
from actors.mailbox.journal import Batch, Counted, Look, Progress, Settlement, Written
from actors.mailbox.last_resort import keep_dead_letters
from actors.mailbox.message import Publication
from actors.mailbox.postgres_journal import PostgresJournal
from actors.mailbox.rows import checksum, published_day
from actors.mailbox.selection import Selection
from actors.mailbox.transactional import TransactionalPublisher
from actors.shards.dsn import shard_dsn
from cluster.postgres import PostgresServer
from tests.contract.mailbox.conftest import by_shard
from tests.contract.mailbox.test_every_journal import NOW, TENANT, appends, letter, message, settled, taken

Connection = Any
Journals = Callable[[], PostgresJournal]


async def test_a_message_and_its_dead_letter_change_place_in_one_commit(
    journals: Journals, owner: Connection, queue_name: str
) -> None:
    journal = journals()
    epoch = (await taken(journal)).epoch
    one = message("m1")
    await journal.write(epoch, Batch(appends(one)))

    written = await journal.write(
        epoch, Batch(dead_letters=[one], settlements=[Settlement(1, published_day(one), "rejected", "no\0 good", 1)])
    )

    waiting = await journal.count(Counted(0, "0", []))
    assert (written.dead_letters, waiting.tenants, await journal.dead_letters()) == (1, {}, 1)
    assert await owner.fetchval("SELECT reason FROM spaza.settlement WHERE queue = $1", queue_name) == "no good"


async def test_the_last_resort_keeps_a_letter_though_one_of_its_id_was_put_back(
    journals: Journals, owner: Connection, queue_name: str
) -> None:
    journal = journals()
    epoch = (await taken(journal)).epoch
    one = letter("m1", "unreachable")
    arguments = (f"dlq.{queue_name}", 0, [tuple(one)])
    await keep_dead_letters(owner, arguments)
    [row] = await journal.peek("dead", Selection(), after_seq=0, limit=9, body_bytes=0)
    await journal.write(epoch, Batch(letters=[Settlement(row.seq, published_day(one), "redriven", "", 0)]))

    for _ in range(2):
        await keep_dead_letters(owner, arguments)

    [again] = await journal.peek("dead", Selection(), after_seq=0, limit=9, body_bytes=0)
    assert (again.message.id, again.seq > row.seq) == ("m1", True)


class Overtaken:
    """A unit's transaction, before whose first insert somebody else commits."""

    def __init__(self, connection: Connection, meanwhile: Callable[[], Awaitable[object]]) -> None:
        self.fetch, self._execute, self._meanwhile = connection.fetch, connection.execute, [meanwhile]

    async def execute(self, query: str, *arguments: Any) -> None:
        while self._meanwhile:
            await self._meanwhile.pop()()
        await self._execute(query, *arguments)


async def test_the_last_resort_keeps_a_letter_though_one_of_its_id_is_purged_in_this_moment(
    journals: Journals, owner: Connection, queue_name: str
) -> None:
    journal = journals()
    epoch = (await taken(journal)).epoch
    sent = [letter("m1", "unreachable"), letter("m2", "unreachable"), letter("m3", "unreachable")]
    await keep_dead_letters(owner, (f"dlq.{queue_name}", 0, [tuple(one) for one in sent[:2]]))
    rows = await journal.peek("dead", Selection(), after_seq=0, limit=9, body_bytes=0)
    purged = Batch(letters=[Settlement(rows[1].seq, published_day(sent[1]), "purged", "", 0)])

    async with owner.transaction():
        unit: Any = Overtaken(owner, lambda: journal.write(epoch, purged))
        await keep_dead_letters(unit, (f"dlq.{queue_name}", 0, [tuple(one) for one in sent]))

    kept = await journal.peek("dead", Selection(), after_seq=0, limit=9, body_bytes=0)
    assert [one.message.id for one in kept] == ["m1", "m3", "m2"]
    assert (kept[0].seq, kept[2].seq > rows[1].seq) == (rows[0].seq, True)


async def test_a_takeover_waits_for_the_write_under_way(
    journals: Journals, server: PostgresServer, owner: Connection, queue_name: str
) -> None:
    first, second = journals(), journals()
    epoch = (await taken(first, "a", lease_s=0.0)).epoch
    # A write of the same kind, held open.
    slow = await asyncpg.connect(server.database_dsn("shard_00"))
    async with slow.transaction():
        await slow.execute(
            "SELECT 1 FROM spaza.mailbox_owner WHERE queue = $1 AND partition = 0 AND epoch = $2 FOR KEY SHARE",
            queue_name, epoch,
        )  # fmt: skip
        takeover = asyncio.ensure_future(taken(second, "b"))
        await asyncio.sleep(0.2)
        assert not takeover.done()
        # Others of the same epoch may write meanwhile, and the lease can be renewed.
        assert (await first.tick(epoch, Progress(1, "0", 0.0), Look(lease_s=0.0, sweep_below=0))).held
    assert (await takeover).epoch == epoch + 1
    await slow.close()


@pytest.mark.parametrize("dead", [False, True])
async def test_flushes_with_the_same_ids_in_another_order_do_not_block_each_other(
    journals: Journals, server: PostgresServer, owner: Connection, queue_name: str, *, dead: bool
) -> None:
    journal = journals()
    epoch = (await taken(journal)).epoch
    repeated = [message("b"), message("a")]
    batch = Batch(dead_letters=repeated) if dead else Batch(appends(*repeated, first=11))
    insert = """INSERT INTO spaza.journal (published_on, queue, partition, seq, message_id, tenant_id, key, priority,
                                           published_at, headers, body, checksum, transactional)
                VALUES ((to_timestamp($4) AT TIME ZONE 'UTC')::date, $1, 0, $2, $3, 't', 'k', 0, to_timestamp($4), '{}',
                        '', 0, false)"""
    where = f"dlq.{queue_name}" if dead else queue_name
    other = await asyncpg.connect(server.database_dsn("shard_00"))
    async with other.transaction():
        await other.execute(insert, where, 1, "a", NOW)
        flush = asyncio.create_task(journal.write(epoch, batch))
        await locked(owner)
        await other.execute(insert, where, 2, "b", NOW)

    assert (await flush) == Written([], 0)
    await other.close()


async def test_a_renewal_that_waited_for_a_takeover_renews_nothing_and_says_so(
    journals: Journals, server: PostgresServer, owner: Connection, queue_name: str
) -> None:
    journal = journals()
    epoch = (await taken(journal, "a", lease_s=0.0)).epoch
    other = await asyncpg.connect(server.database_dsn("shard_00"))
    async with other.transaction():
        await other.execute(
            "UPDATE spaza.mailbox_owner SET epoch = epoch + 1, owner = 'b' WHERE queue = $1", queue_name
        )
        renewal = asyncio.create_task(journal.tick(epoch, Progress(9, "0", 9.0), Look(lease_s=5.0, sweep_below=0)))
        await locked(owner)

    assert not (await renewal).held
    assert await owner.fetchval("SELECT low_water FROM spaza.mailbox_owner WHERE queue = $1", queue_name) == 0
    await other.close()


async def test_a_unit_publishes_under_its_own_tenant_alone(
    server: PostgresServer, owner: Connection, queue_name: str
) -> None:
    publisher = TransactionalPublisher(by_shard(queue_name))
    app = await asyncpg.connect(shard_dsn(server.tcp_dsn, 0, "spaza_app", "secret"))
    async with app.transaction():
        await app.execute("SELECT set_config('app.current_tenant', $1, true)", TENANT)
        rows = await publisher.publish(
            app, 0, TENANT, Publication("x", "", [message("m1"), message("m2"), message("m1")])
        )
        again = await publisher.publish(app, 0, TENANT, Publication("x", "", [message("m1")]))
    other = "f" * 32
    async with app.transaction():
        await app.execute("SELECT set_config('app.current_tenant', $1, true)", TENANT)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await publisher.publish(app, 0, other, Publication("x", "", [message("m3", tenant=other)]))
    with pytest.raises(ValueError, match="own tenant"):
        await publisher.publish(app, 0, TENANT, Publication("x", "", [message("m3", tenant=other)]))

    assert [row.message.id for row in rows] == ["m1", "m2"]
    assert list(again) == []
    assert await app.fetchval("SELECT count(*) FROM spaza.journal") == 0  # no tenant, nothing to see
    await app.close()


async def test_a_row_that_was_changed_is_reported(journals: Journals, owner: Connection, queue_name: str) -> None:
    journal = journals()
    epoch = (await taken(journal)).epoch
    await journal.write(epoch, Batch(appends(message("m1"), message("m2"))))

    await owner.execute("UPDATE spaza.journal SET body = 'x' WHERE queue = $1 AND message_id = 'm1'", queue_name)

    assert [row.intact for row in await journal.load(0, 10)] == [False, True]


@pytest.mark.parametrize("headers", [b"[1]", b"7", b"null", b"{", b"\xff"])
async def test_headers_that_are_no_object_are_reported_and_stop_nothing(
    journals: Journals, owner: Connection, queue_name: str, headers: bytes
) -> None:
    journal = journals()
    epoch = (await taken(journal)).epoch
    sent = [message("m1"), message("m2"), message("m3")]
    await journal.write(epoch, Batch(appends(*sent)))
    change = "UPDATE spaza.journal SET headers = $2, checksum = $3 WHERE queue = $1 AND message_id = $4"
    await owner.execute(change, queue_name, headers, 0, "m1")
    fitting = checksum("m2", sent[1].key, headers, sent[1].body)
    await owner.execute(change, queue_name, headers, fitting, "m2")

    rows = await journal.load(0, 10)

    assert [(row.message.id, row.intact) for row in rows] == [("m1", False), ("m2", False), ("m3", True)]
    assert rows[0].message.body == sent[0].body


async def test_a_connection_lost_under_a_write_is_an_unavailable_journal_and_the_next_write_reconnects(
    journals: Journals, owner: Connection
) -> None:
    journal = journals()
    epoch = (await taken(journal)).epoch
    async with owner.transaction():
        await owner.execute("LOCK TABLE spaza.journal IN ACCESS EXCLUSIVE MODE")
        writing = asyncio.create_task(journal.write(epoch, Batch(appends(message("m1")))))
        ended = 0
        while not ended:
            await asyncio.sleep(0.01)
            await owner.execute("SELECT pg_stat_clear_snapshot()")
            ended = await owner.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE usename = 'spaza_system' AND wait_event_type = 'Lock'"
            )
        with pytest.raises(JournalUnavailableError):
            await writing

    await journal.write(epoch, Batch(appends(message("m1"))))
    assert len(await journal.load(0, 10)) == 1


async def test_old_days_go_but_for_what_is_not_settled(journals: Journals, owner: Connection, queue_name: str) -> None:
    journal = journals()
    epoch = (await taken(journal)).epoch
    old = time.time() - 10 * 86_400
    await owner.execute("SELECT spaza.maintain_mailbox(3, 1000, (now() AT TIME ZONE 'UTC')::date)")
    await owner.execute("SELECT spaza.maintain_mailbox(0, 1000, (now() AT TIME ZONE 'UTC')::date - 10)")
    done, waiting = message("done", published_at=old), message("waiting", published_at=old)
    await journal.write(epoch, Batch(appends(done, waiting)))
    await journal.write(epoch, Batch(settlements=[settled(1, done)]))

    made, dropped = await journal.maintain(3, 7)

    ids = await owner.fetch(
        "SELECT message_id, c.relname FROM spaza.journal j JOIN pg_class c ON c.oid = j.tableoid WHERE queue = $1",
        queue_name,
    )
    assert [tuple(row) for row in ids] == [("waiting", "journal_default")]
    assert (made, dropped) == (0, 1)
    await journal.write(epoch, Batch(settlements=[settled(2, waiting)]))
    await journal.maintain(3, 7)
    assert await owner.fetchval("SELECT count(*) FROM spaza.journal WHERE queue = $1", queue_name) == 0
    assert await owner.fetchval("SELECT count(*) FROM spaza.settlement WHERE queue = $1", queue_name) == 0


async def test_applying_the_schema_again_changes_nothing(owner: Connection) -> None:
    from tests.contract.mailbox.conftest import SCHEMA

    await owner.execute(SCHEMA)


async def locked(owner: Connection) -> None:
    """Wait until the mailbox waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'spaza_system' AND wait_event_type = 'Lock'"
    async with asyncio.timeout(60.0):
        while not await owner.fetchval(waiting):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)


async def test_every_table_of_the_mailboxes_forces_row_level_security(owner: Connection) -> None:
    tables = await owner.fetch(
        "SELECT relname, relrowsecurity AND relforcerowsecurity AS forced FROM pg_class"
        " WHERE relnamespace = 'spaza'::regnamespace AND relkind IN ('r', 'p')"
        " AND relname ~ '^(journal|settlement|redelivery|mailbox_)'"
    )

    assert {"journal", "journal_default", "settlement_default"} <= {row["relname"] for row in tables}
    assert [row["relname"] for row in tables if not row["forced"]] == []
