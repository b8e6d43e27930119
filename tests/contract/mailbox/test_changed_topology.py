"""A changed topology is applied to what waits: nothing is lost, doubled or put out of the order of its key."""

from collections.abc import AsyncIterator
from functools import partial
from itertools import count
from typing import Any

import asyncpg
import pytest

from actors.mailbox.connections import Connections
from actors.mailbox.errors import FencedError, TopologyChangeError
from actors.mailbox.exchange import partition_of, shard_of_partition
from actors.mailbox.journal import Append, Batch, Retry, Row
from actors.mailbox.message import Message
from actors.mailbox.postgres_journal import PostgresJournal
from actors.mailbox.relocation import _Move, apply_topology
from actors.shards.dsn import shard_dsn
from cluster.postgres import PostgresServer
from config.topology import Topology
from tests.contract.mailbox.conftest import PATIENCE, SCHEMA
from tests.contract.mailbox.test_every_journal import NOW, message, settled, taken

_numbers = count(1)


class Place:
    """One queue with its dead-letter queue in the shards' databases, whatever its topology."""

    def __init__(self, server: PostgresServer) -> None:
        self.queue = f"work.{next(_numbers)}"
        self.server = server
        self.made: list[PostgresJournal] = []

    def topology(self, partitions: int = 1, by: str = "key", *, declared: bool = True) -> Topology:
        alike = {"partitions": partitions, "partition_by": by}
        queues = {
            self.queue: {"bindings": [{"exchange": "x"}], "dlx": "dlx", **alike},
            f"dlq.{self.queue}": {"bindings": [{"exchange": "dlx", "routing_key": self.queue}], **alike},
        }
        other = {"other": {"bindings": [{"exchange": "x"}]}}
        exchanges = {"x": {"type": "fanout"}, "dlx": {"type": "direct"}}
        return Topology.model_validate({"exchanges": exchanges, "queues": {**other, **(queues if declared else {})}})

    async def apply(self, topology: Topology) -> int:
        done = await apply_topology(topology, partial(shard_dsn, self.server.tcp_dsn), "here")
        return done.moved.get(self.queue, 0)

    def journal(self, partition: int) -> PostgresJournal:
        dsn = shard_dsn(self.server.tcp_dsn, shard_of_partition(partition), "spaza_system", "secret")
        self.made.append(PostgresJournal(Connections(dsn, 1), self.queue, f"dlq.{self.queue}", partition, PATIENCE))
        return self.made[-1]

    async def rows(self, partitions: int) -> dict[int, list[Row]]:
        return {number: await self.journal(number).load(0, 10_000) for number in range(partitions)}


@pytest.fixture(scope="session")
def _every_shard(server: PostgresServer) -> PostgresServer:
    import asyncio

    async def set_up() -> None:
        for shard in range(32):
            connection = await asyncpg.connect(server.database_dsn(f"shard_{shard:02d}"))
            await connection.execute(SCHEMA)
            if shard == 0:
                for role in ("spaza_system", "spaza_app"):
                    await connection.execute(f"ALTER ROLE {role} LOGIN PASSWORD 'secret'")
            await connection.close()

    from threading import Thread

    thread = Thread(target=lambda: asyncio.run(set_up()))
    thread.start()
    thread.join()
    return server


@pytest.fixture
async def place(_every_shard: PostgresServer) -> AsyncIterator[Place]:
    made = Place(_every_shard)
    yield made
    for journal in made.made:
        await journal.aclose()
    owner = await asyncpg.connect(_every_shard.database_dsn("shard_00"))
    await owner.execute("DELETE FROM spaza.mailbox_layout")
    await owner.close()


def some(total: int, first: int = 0) -> list[Message]:
    numbers = range(first, first + total)
    return [message(f"m{number}", key=f"k{number % 7}", tenant=f"{number % 7:032x}") for number in numbers]


async def filled(place: Place, total: int = 60) -> list[Message]:
    """One partition with messages, the first ten of them settled, and two dead letters."""
    await place.apply(place.topology())
    journal, sent = place.journal(0), some(total)
    epoch = (await taken(journal, "here/mailbox")).epoch
    appends = [Append(one, seq, 0.0) for seq, one in enumerate(sent, 1)]
    done = [settled(seq, sent[seq - 1]) for seq in range(1, 11)]
    await journal.write(epoch, Batch(appends))
    await journal.write(epoch, Batch(settlements=done, dead_letters=[message("d1", key="k1"), message("d2", key="k2")]))
    await journal.write(epoch, Batch(retries=[Retry(11, 2, 1, NOW + 5, 1.5, "busy")]))
    return sent[10:]


def assert_whole(rows: dict[int, list[Row]], sent: list[Message], topology: Topology, queue: str) -> None:
    assert sorted(row.message.id for of in rows.values() for row in of) == sorted(one.id for one in sent)
    for number, of in rows.items():
        assert all(partition_of(topology.queues[queue], row.message) == number for row in of)
        assert all(row.intact for row in of)
        for key in {row.message.key for row in of}:
            ids = [row.message.id for row in of if row.message.key == key]
            assert ids == [one.id for one in sent if one.key == key]


async def test_a_queue_that_grows_has_its_messages_moved_in_the_order_of_their_keys(place: Place) -> None:
    waiting = await filled(place)

    moved = await place.apply(place.topology(4))

    rows = await place.rows(4)
    assert_whole(rows, waiting, place.topology(4), place.queue)
    assert 0 < moved < len(waiting)
    assert moved == len(waiting) - len(rows[0])
    (tried,) = [row for of in rows.values() for row in of if row.retries]
    assert (tried.message.id, tried.retries, tried.lost, tried.deferred_s) == ("m10", 2, 1, 1.5)
    assert sum([await place.journal(number).dead_letters() for number in range(4)]) == 2
    assert await place.apply(place.topology(4)) == 0


async def test_a_queue_may_shrink_again_and_change_what_decides_the_partition(place: Place) -> None:
    waiting = await filled(place)
    late = some(14, first=60)

    for step, (partitions, by) in enumerate([(4, "key"), (1, "key"), (3, "key"), (32, "shard"), (2, "key")]):
        topology = place.topology(partitions, by)
        await place.apply(topology)
        rows = await place.rows(partitions)
        assert_whole(rows, waiting, topology, place.queue)
        if step == 1:  # what comes between has its place behind the others
            journal = place.journal(0)
            lease = await taken(journal, "here/mailbox")
            first = await journal.highest() + 1
            await journal.write(lease.epoch, Batch([Append(one, first + at, 0.0) for at, one in enumerate(late)]))
            await journal.release(lease.epoch, (await _progress(journal)))
            waiting = [*waiting, *late]


async def _progress(journal: PostgresJournal) -> Any:
    from actors.mailbox.journal import Progress

    return Progress((await journal.load(0, 1))[0].seq, "0", 0.0)


async def test_a_removed_queue_that_holds_messages_is_refused_by_name_number_and_remedy(place: Place) -> None:
    await filled(place, 15)

    with pytest.raises(TopologyChangeError) as refused:
        await place.apply(place.topology(declared=False))

    text = str(refused.value)
    assert f"queue {place.queue} is not declared any more, but 5 messages wait in it (5 in partition 0)" in text
    assert f"queue dlq.{place.queue} is not declared any more, but 2 messages" in text
    assert (
        f"start, and wait until they are handled or purge them with: spaza mailbox purge {place.queue} --wait" in text
    )
    assert await place.apply(place.topology()) == 0


async def test_an_empty_queue_may_be_removed(place: Place) -> None:
    await place.apply(place.topology())

    await place.apply(place.topology(declared=False))

    assert await place.apply(place.topology()) == 0


async def test_an_owner_of_before_the_move_writes_no_more(place: Place) -> None:
    await place.apply(place.topology())
    journal = place.journal(0)
    epoch = (await taken(journal, "here/mailbox")).epoch

    await place.apply(place.topology(2))

    with pytest.raises(FencedError):
        await journal.write(epoch, Batch([Append(message("late"), 1, 0.0)]))


async def test_a_queue_that_is_paused_stays_so_and_one_that_is_not_has_no_partition_that_is(place: Place) -> None:
    await place.apply(place.topology(3))
    for number in range(3):
        journal = place.journal(number)
        await journal.pause((await taken(journal, "here/mailbox")).epoch, paused=True)

    await place.apply(place.topology(1))
    alone = await taken(place.journal(0), "here/mailbox")
    await place.journal(0).pause(alone.epoch, paused=False)
    await place.apply(place.topology(4))
    afterwards = [(await taken(place.journal(number), "here/mailbox")).paused for number in range(4)]
    await place.journal(3).pause(2, paused=True)
    await place.apply(place.topology(5))
    grown = [(await taken(place.journal(number), "here/mailbox")).paused for number in range(5)]

    assert (alone.paused, afterwards, grown) == (True, [False] * 4, [True] * 5)


async def test_a_partition_that_another_installation_holds_is_not_touched(place: Place) -> None:
    await place.apply(place.topology())
    await taken(place.journal(0), "there/mailbox")

    with pytest.raises(TopologyChangeError, match="is held by there/mailbox"):
        await place.apply(place.topology(2))


async def test_a_move_that_was_interrupted_is_finished_by_the_next_start(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = await filled(place)
    settle, times = _Move._settle, iter(range(100))

    async def interrupted(self: _Move, *arguments: Any) -> None:
        if next(times) == 1:
            raise ConnectionResetError
        await settle(self, *arguments)

    monkeypatch.setattr(_Move, "_settle", interrupted)
    with pytest.raises(ConnectionResetError):
        await place.apply(place.topology(4))
    monkeypatch.undo()
    await place.apply(place.topology(4))

    assert_whole(await place.rows(4), waiting, place.topology(4), place.queue)
