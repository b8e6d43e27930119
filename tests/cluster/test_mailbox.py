"""The mailbox as a whole, on real Ray and real PostgreSQL: nothing confirmed is lost, whoever is killed."""

import asyncio
import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
import ray

from actors.mailbox.access import JournalAccess
from actors.mailbox.consumer import ActorConsumer
from actors.mailbox.errors import JournalUnavailableError, MailboxError
from actors.mailbox.handle import NAMESPACE, MailboxHandle, actor_name
from actors.mailbox.message import Message, Publication
from actors.mailbox.operator_handle import MailboxOperator
from actors.mailbox.selection import Selection
from actors.mailbox.start import start_mailboxes
from actors.mailbox.transactional import TransactionalPublisher
from actors.shards.dsn import shard_dsn
from cluster.postgres import PostgresServer
from config.topology import Topology
from tests.cluster.mailbox_consumers import RecordingConsumer, written
from tests.servers import postgres

SCHEMA = (Path(__file__).parents[2] / "actors/mailbox/schema.sql").read_text()
TENANT = "0123456789abcdef0123456789abcdef"
_names = itertools.count(1)


class Line(NamedTuple):
    id: str
    key: str
    outcome: str
    redelivered: bool
    batch: int


class Mailbox(NamedTuple):
    """One test's queue, its consumer and what that wrote down."""

    name: str
    topology: Topology
    handle: MailboxHandle
    record: Path
    consumer: Any

    def lines(self) -> list[Line]:
        fields = (line.split() for line in written(self.record))
        return [Line(one[0], one[1], one[2], one[3] == "1", int(one[4])) for one in fields]

    def actor(self) -> Any:
        return ray.get_actor(actor_name(self.name, 0), namespace=NAMESPACE)

    def handled(self) -> Counter[str]:
        return Counter(line.id for line in self.lines() if line.outcome == "ack")

    async def pause(self, *, paused: bool) -> None:
        """As an operator does, who repeats it where the owner did not answer in time."""
        async with asyncio.timeout(180.0):
            while True:
                try:
                    await self.handle.pause(self.name, paused=paused)
                except JournalUnavailableError:
                    await asyncio.sleep(0.1)
                else:
                    return

    async def figures(self) -> Any:
        """As its owner tells them, once it does."""
        async with asyncio.timeout(180.0):
            while (figures := (await self.handle.statistics())[self.name]) == {"state": "unreachable"}:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.05)
        return figures


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server of these tests' own, for they stop it."""
    with postgres(tmp_path_factory.mktemp("pg")) as server:
        asyncio.run(set_up(server))
        yield server


async def set_up(server: PostgresServer) -> None:
    for shard in (0, 1, 31):
        connection = await asyncpg.connect(shard_dsn(server.tcp_dsn, shard))
        await connection.execute(SCHEMA)
        await connection.execute("ALTER ROLE spaza_system LOGIN PASSWORD 'secret'")
        await connection.close()


MakeMailbox = Callable[..., Awaitable[Mailbox]]


@pytest.fixture
async def mailbox(ray_cluster: None, server: PostgresServer, tmp_path: Path) -> Any:
    made: list[Mailbox] = []

    async def make(*, pause_s: float = 0.0, by: str = "key", **queue: Any) -> Mailbox:
        name = f"test.{next(_names)}"
        partitions = {"partitions": 32, "partitions_per_actor": 32} if by == "shard" else {}
        topology = Topology.model_validate(
            {
                "exchanges": {"in": {"type": "topic"}, "dlx": {"type": "direct"}},
                "queues": {
                    name: {
                        "bindings": [{"exchange": "in", "routing_key": "a.*"}],
                        "dlx": "dlx", "partition_by": by, **partitions, **queue,
                    },
                    f"dlq.{name}": {
                        "bindings": [{"exchange": "dlx", "routing_key": name}], "partition_by": by, **partitions,
                    },
                },
            }
        )  # fmt: skip
        record = tmp_path / name
        remote: Any = ray.remote(RecordingConsumer)
        consumer = remote.options(
            name=f"consumer:{name}", namespace=NAMESPACE, lifetime="detached", max_restarts=-1, num_cpus=0
        ).remote(str(record), pause_s)
        access = JournalAccess(server.tcp_dsn, "secret", "test")
        await asyncio.to_thread(
            start_mailboxes, topology, access, {name: ActorConsumer(f"consumer:{name}")}, timeout_s=180
        )
        made.append(Mailbox(name, topology, MailboxHandle(topology), record, consumer))
        return made[-1]

    yield make
    for one in made:
        for group in range(one.topology.queues[one.name].groups):
            with suppress(ValueError):  # the test has ended it
                ray.kill(ray.get_actor(actor_name(one.name, group), namespace=NAMESPACE))
        ray.kill(one.consumer)


def message(message_id: str, key: str = "k", body: bytes = b"x", **fields: Any) -> Message:
    return Message(message_id, key, TENANT, body, {}, time.time(), **fields)


async def eventually(true: Callable[[], Awaitable[bool]] | Callable[[], bool], timeout_s: float = 180.0) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        result = true()
        if result if isinstance(result, bool) else await result:
            return
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)


async def publish_surely(box: Mailbox, messages: list[Message], timeout_s: float = 180.0) -> int:
    """As Meta does: again until it is confirmed. Returns how many messages came again."""
    deadline, again = time.monotonic() + timeout_s, 0
    while True:
        try:
            await box.handle.publish("in", "a.b", messages, timeout_s=2.0)
        except MailboxError:
            assert time.monotonic() < deadline, "it was never confirmed"
            again += len(messages)
            await asyncio.sleep(0.05)
        else:
            return again


async def publish_all(box: Mailbox, total: int, at_once: int = 16) -> list[str]:
    ids = [f"m{number}" for number in range(total)]
    numbers = iter(range(total))

    async def publisher() -> None:
        for number in numbers:
            await publish_surely(box, [message(ids[number], key=f"k{number % 20}")])

    await asyncio.gather(*(publisher() for _ in range(at_once)))
    return ids


async def settled(box: Mailbox) -> bool:
    figures = await box.figures()
    return bool(figures.get("waiting") == 0 and figures["partitions"][0]["state"] == "owning")


async def dead_letters(box: Mailbox, wanted: int) -> bool:
    """Whether so many stand in the journal; an owner's figure is an estimate where some come while it counts."""
    operator = MailboxOperator(box.topology)
    count = await operator.count(operator.target(f"dlq.{box.name}"), Selection())
    return not count.missing and sum(one.messages for one in count.tallies) == wanted


async def test_what_is_published_is_handled_once_and_in_order_of_its_key(mailbox: MakeMailbox) -> None:
    box = await mailbox()
    sent = [message(f"m{number}", key=f"k{number % 3}") for number in range(300)]

    again = sum([await publish_surely(box, sent[start : start + 50]) for start in range(0, 300, 50)])
    again += await publish_surely(box, sent[:50])
    await eventually(lambda: len(box.lines()) >= 300)

    assert max(box.handled().values()) == 1
    for key in ("k0", "k1", "k2"):
        handled = [line.id for line in box.lines() if line.key == key]
        assert handled == [one.id for one in sent if one.key == key]
    assert not any(line.redelivered for line in box.lines())
    await eventually(lambda: settled(box))
    assert 50 <= (await box.figures())["counters"]["duplicate"] <= 50 + again


async def test_a_killed_mailbox_comes_back_and_loses_nothing(mailbox: MakeMailbox) -> None:
    box = await mailbox(pause_s=0.01)
    pid = (await box.figures())["pid"]
    publishing = asyncio.ensure_future(publish_all(box, 1_000))
    for _ in range(2):
        await asyncio.sleep(0.5)
        os.kill(pid, signal.SIGKILL)

        async def back(old: int = pid) -> bool:
            return bool((await box.figures()).get("pid", old) != old)

        await eventually(back)
        pid = (await box.figures())["pid"]
    ids = await publishing

    await eventually(lambda: set(box.handled()) == set(ids))
    await eventually(lambda: settled(box))
    again = {line.id for line in box.lines() if line.redelivered}
    assert {one for one, times in box.handled().items() if times > 1} <= again
    assert (await box.figures())["partitions"][0]["epoch"] >= 3


async def test_a_killed_consumer_gets_its_batch_again_one_by_one(mailbox: MakeMailbox) -> None:
    box = await mailbox(batch=10)
    # They are with it for longer than a kill takes, however busy the machine is.
    slow = [message(f"slow{number}", f"s{number}", b"slow 600") for number in range(10)]
    await publish_surely(box, slow)
    publishing = asyncio.ensure_future(publish_all(box, 300))

    async def are_with_it() -> bool:
        return bool((await box.figures())["in_flight"] >= 10 and await box.consumer.begun.remote())

    await eventually(are_with_it)
    os.kill(await box.consumer.pid.remote(), signal.SIGKILL)
    ids = [*await publishing, *(one.id for one in slow)]

    await eventually(lambda: set(box.handled()) == set(ids))
    again = [line for line in box.lines() if line.redelivered]
    assert again
    assert {line.batch for line in again} == {1}


async def test_a_message_that_kills_its_consumer_ends_in_the_dead_letter_queue_and_harms_no_other(
    mailbox: MakeMailbox,
) -> None:
    box = await mailbox(delivery_limit=3)
    await publish_surely(box, [message("bad", "k0", b"poison"), *(message(f"m{n}", f"k{n}") for n in range(20))])

    await eventually(lambda: len(box.handled()) == 20)
    await eventually(lambda: settled(box))

    await eventually(lambda: dead_letters(box, 1))
    assert (await box.figures())["counters"]["delivery_limit"] == 1


async def test_outcomes_are_carried_out(mailbox: MakeMailbox) -> None:
    box = await mailbox()
    await publish_surely(box, [message("m1", "a", b"reject"), message("m2", "b", b"later"), message("m3", "b")])

    await eventually(lambda: settled(box))

    kinds = [(line.id, line.outcome) for line in box.lines() if line.key == "b"]
    assert kinds == [("m2", "retry_after"), ("m2", "ack"), ("m3", "ack")]
    await box.handle.dead_letter(box.name, [message("m9")], "not an envelope", timeout_s=60.0)
    await eventually(lambda: dead_letters(box, 2))


async def test_a_stopped_database_neither_kills_nor_loses(mailbox: MakeMailbox, server: PostgresServer) -> None:
    box = await mailbox(pause_s=0.01)
    pid = (await box.figures())["pid"]
    publishing = asyncio.ensure_future(publish_all(box, 600))
    await asyncio.sleep(0.4)
    server.stop(mode="immediate")
    with pytest.raises(MailboxError):
        await box.handle.publish("in", "a.b", [message("never")], timeout_s=0.3)
    server.start(timeout_s=240.0)
    ids = await publishing

    await eventually(lambda: set(ids) <= set(box.handled()))
    await eventually(lambda: settled(box))
    assert (await box.figures())["pid"] == pid
    # What was done and could not be written down comes again if that lasted longer than a lease, and is said to.
    again = {line.id for line in box.lines() if line.redelivered}
    assert {one for one, times in box.handled().items() if times > 1} <= again


async def test_what_a_unit_publishes_is_found_whether_told_or_not(mailbox: MakeMailbox, server: PostgresServer) -> None:
    box = await mailbox(by="shard")
    publisher = TransactionalPublisher(box.topology)
    connection = await asyncpg.connect(shard_dsn(server.tcp_dsn, 1))
    async with connection.transaction():
        told = await publisher.publish(connection, 1, TENANT, Publication("in", "a.b", [message("told")]))
        await publisher.publish(connection, 1, TENANT, Publication("in", "a.b", [message("untold", "other")]))
    await box.handle.tell(told)

    await eventually(lambda: set(box.handled()) == {"told", "untold"})
    await asyncio.sleep(1.5)

    assert max(box.handled().values()) == 1
    await connection.close()


async def test_a_window_that_is_too_small_for_all_is_paged(mailbox: MakeMailbox) -> None:
    box = await mailbox(window=20, batch=8)
    sent = [message(f"m{number}", key=f"k{number % 40}") for number in range(500)]

    await box.pause(paused=True)
    for start in range(0, 500, 100):
        await publish_surely(box, sent[start : start + 100])
    assert (await box.figures())["waiting"] == 500
    await box.pause(paused=False)
    await eventually(lambda: len(box.handled()) == 500)
    await eventually(lambda: settled(box))

    for key in {one.key for one in sent}:
        assert [line.id for line in box.lines() if line.key == key] == [one.id for one in sent if one.key == key]
