"""Two owners of one queue at once, on real Ray and real PostgreSQL: one works, the other waits and takes over."""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
import ray

from actors.mailbox import ActorConsumer, JournalAccess, Topology
from actors.mailbox.actor import MailboxActor
from actors.mailbox.errors import FencedError, JournalUnavailableError
from actors.mailbox.handle import NAMESPACE
from actors.mailbox.message import Message
from actors.mailbox.publisher import pack, packed
from actors.mailbox.setup import _set_up
from cluster.postgres import PostgresServer
from tests.cluster.mailbox_consumers import RecordingConsumer, written

_names = itertools.count(1)


class Side(NamedTuple):
    """One cluster's mailbox of the queue, and its consumer."""

    mailbox: Any
    consumer: Any
    record: Path

    async def state(self) -> str:
        state: str = (await self.mailbox.statistics.remote())["state"]
        return state

    async def epoch(self) -> int:
        epoch: int = (await self.mailbox.statistics.remote())["epoch"]
        return epoch

    async def append(self, *ids: str) -> Any:
        messages = [(0, packed(Message(one, one, "", b"x", {}, time.time()))) for one in ids]
        return await self.mailbox.append.remote(pack([messages]))

    def handled(self) -> list[tuple[str, bool]]:
        """Id, and whether it was said to be a redelivery."""
        return [(line.split()[0], line.split()[3] == "1") for line in written(self.record)]


class Field(NamedTuple):
    dsn: str
    queue: str
    made: list[Side]
    folder: Path

    async def cluster(self, instance: str, *, pause_s: float = 0.0, process: str = "") -> Side:
        """The queue's mailbox as a cluster of that instance id has it; another process of the same name if it says."""
        declared = Topology.model_validate(
            {
                "exchanges": {"x": {"type": "fanout"}},
                "queues": {self.queue: {"bindings": [{"exchange": "x"}], "lease_s": 20}},
            }
        )
        name = f"{instance}:{self.queue}"
        options = {"namespace": NAMESPACE, "lifetime": "detached", "num_cpus": 0}
        record = self.folder / f"record-{instance}{process}"
        remote_consumer: Any = ray.remote(RecordingConsumer)
        consumer = remote_consumer.options(name=f"consumer:{name}{process}", **options).remote(str(record), pause_s)
        remote: Any = ray.remote(MailboxActor)
        mailbox = remote.options(name=f"{name}{process}", max_restarts=-1, **options).remote(
            declared.queues[self.queue], "", 0, name, JournalAccess.to(self.dsn, instance),
            ActorConsumer(f"consumer:{name}{process}"),
        )  # fmt: skip
        await mailbox.ping.remote()
        self.made.append(Side(mailbox, consumer, record))
        return self.made[-1]

    async def is_free_for(self, side: Side) -> bool:
        """Whether nobody's lease keeps it from owning the queue, if it does not already."""
        connection = await asyncpg.connect(self.dsn)
        free = await connection.fetchval(
            "SELECT lease_until <= now() FROM spaza.mailbox_owner WHERE queue = $1", self.queue
        )
        await connection.close()
        return bool(free) or await side.state() == "owning"

    async def settled(self, *ids: str) -> None:
        """Wait until these have ended."""
        deadline = time.monotonic() + 180.0
        while not all(map((found := await self.settlements()).get, ids)):
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.05)

    async def settlements(self) -> dict[str, int]:
        """By message id, its number of settlements."""
        connection = await asyncpg.connect(self.dsn)
        rows = await connection.fetch(
            "SELECT message_id, count(s.seq) FROM spaza.journal j LEFT JOIN spaza.settlement s"
            " USING (queue, partition, seq) WHERE queue = $1 GROUP BY 1 ORDER BY 1",
            self.queue,
        )
        await connection.close()
        return {row[0]: row[1] for row in rows}


@pytest.fixture
async def field(ray_cluster: None, postgres_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Field]:
    dsn = postgres_server.database_dsn("shard_29")
    await _set_up(dsn)
    made = Field(dsn, f"disputed.{next(_names)}", [], tmp_path)
    yield made
    for side in made.made:
        ray.kill(side.mailbox)
        ray.kill(side.consumer)


async def takes(side: Side) -> None:
    """Wait until a message is with the side's consumer."""
    deadline = time.monotonic() + 180.0
    while not await side.consumer.begun.remote():
        assert time.monotonic() < deadline, "nothing is with it"
        await asyncio.sleep(0.02)


async def becomes(side: Side, state: str, timeout_s: float = 180.0) -> float:
    """Seconds until it says so."""
    began = time.monotonic()
    while await side.state() != state:
        assert time.monotonic() - began < timeout_s, f"it is {await side.state()}, not {state}"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def handles(side: Side, *ids: str, timeout_s: float = 180.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not set(ids) <= {one for one, _ in side.handled()}:
        assert time.monotonic() < deadline, side.handled()
        await asyncio.sleep(0.05)


async def test_two_clusters_on_one_database_do_not_fight(field: Field) -> None:
    first = await field.cluster("first")
    await becomes(first, "owning")
    second = await field.cluster("second")
    await becomes(second, "passive")
    epoch = await first.epoch()

    assert await first.append("m1") == {}
    refused = await second.append("m2")
    await handles(first, "m1")
    await field.settled("m1")
    await asyncio.sleep(7.0)  # longer than a lease

    assert isinstance(refused[0], JournalUnavailableError)
    assert (await first.state(), await second.state()) == ("owning", "passive")
    assert await first.epoch() == epoch
    assert second.handled() == []
    assert await field.settlements() == {"m1": 1}


async def test_two_processes_of_one_actor_do_not_fight(field: Field) -> None:
    # As where Ray has lost sight of the first, which lives on, and has started the actor again.
    lost = await field.cluster("first", pause_s=30.0)
    await becomes(lost, "owning")
    assert await lost.append("m1") == {}
    await takes(lost)

    anew = await field.cluster("first", process=":anew")
    # Without waiting for the lease, which the first renews.
    await becomes(anew, "owning")
    await becomes(lost, "passive")
    epoch = await anew.epoch()
    assert await anew.append("m2") == {}
    refused = await lost.append("m3")
    await handles(anew, "m1", "m2")
    await field.settled("m1", "m2")
    await asyncio.sleep(7.0)  # longer than a lease

    assert isinstance(refused[0], JournalUnavailableError)
    assert (await lost.state(), await anew.state(), await anew.epoch()) == ("passive", "owning", epoch)
    # They are of two keys, so either may have come first.
    assert sorted(anew.handled()) == [("m1", True), ("m2", False)]
    assert await field.settlements() == {"m1": 1, "m2": 1}


async def test_the_passive_one_takes_over_when_the_first_hands_over(field: Field) -> None:
    first = await field.cluster("first")
    await becomes(first, "owning")
    second = await field.cluster("second")
    await becomes(second, "passive")

    await first.mailbox.stop.remote()

    assert await field.is_free_for(second)
    await becomes(second, "owning")
    assert await second.append("m1") == {}
    await handles(second, "m1")


async def test_the_passive_one_takes_over_when_the_first_has_died_with_its_cluster(field: Field) -> None:
    first = await field.cluster("first", pause_s=30.0)
    await becomes(first, "owning")
    second = await field.cluster("second")
    await becomes(second, "passive")
    assert await first.append("m1") == {}

    ray.kill(first.mailbox, no_restart=True)

    await becomes(second, "owning")
    await handles(second, "m1")
    assert second.handled() == [("m1", True)]


async def test_an_owner_that_stood_still_can_neither_append_nor_settle_and_goes_passive(field: Field) -> None:
    # What it is given before it stands still is with its consumer, which answers while it does.
    first = await field.cluster("first", pause_s=6.0)
    await becomes(first, "owning")
    second = await field.cluster("second")
    await becomes(second, "passive")
    pid = (await first.mailbox.statistics.remote())["pid"]
    assert await first.append("m1") == {}
    await takes(first)

    os.kill(pid, signal.SIGSTOP)
    try:
        appending = asyncio.ensure_future(first.append("m2"))
        await becomes(second, "owning")
        await handles(second, "m1")
        await handles(first, "m1")
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    # Its write met the new epoch, or its connection had been lost meanwhile.
    assert isinstance((await appending)[0], FencedError | JournalUnavailableError)
    await becomes(first, "passive")
    assert isinstance((await first.append("m3"))[0], JournalUnavailableError)
    assert await second.append("m4") == {}
    await handles(second, "m4")
    await field.settled("m1", "m4")
    await asyncio.sleep(1.0)
    assert second.handled() == [("m1", True), ("m4", False)]
    assert await field.settlements() == {"m1": 1, "m4": 1}
    assert await second.epoch() > await first.epoch()
