"""The mailbox as a contestant: used as a library, with a publisher and a consumer that are Ray actors."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray

from actors.mailbox import ActorConsumer, JournalAccess, MailboxHandle, Topology, set_up_journal, start_mailboxes
from actors.mailbox.handle import actor_name
from benchmarks.broker.actors import start_consumer, start_publisher
from benchmarks.broker.brokers import Load, Published, Turn
from cluster.postgres import PostgresServer, start_postgres

_STALL_S = 3.0


def topology(queue: str, **fields: Any) -> Topology:
    """One exchange, one queue as it is by default, but for the distance between calls that the platform's own keep."""
    declared = {"bindings": [{"exchange": "bench", "routing_key": queue}], "linger_ms": 75, **fields}
    return Topology.model_validate({"exchanges": {"bench": {"type": "direct"}}, "queues": {queue: declared}})


class Platform:
    """PostgreSQL as Spaza runs it, and a Ray."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._postgres: PostgresServer | None = None

    @property
    def dsn(self) -> str:
        """Of the database that has the journal."""
        assert self._postgres is not None
        return self._postgres.database_dsn("shard_00")

    def start(self) -> None:
        self._postgres = start_postgres(self._directory / "data", self._directory / "run")
        set_up_journal(self.dsn)
        ray.init(
            address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, namespace="spaza",
            object_store_memory=100_000_000, _temp_dir=str(self._directory / "ray"),
        )  # fmt: skip

    async def declare(self, queue: str, consumer: str = "", **fields: object) -> Topology:
        """Start a queue's mailbox, for a consumer of that name."""
        declared = topology(queue, **fields)
        addresses = {queue: ActorConsumer(consumer)} if consumer else {}
        await asyncio.to_thread(start_mailboxes, declared, JournalAccess.to(self.dsn), addresses)
        return declared

    async def end(self, declared: Topology, queue: str) -> Mapping[str, int]:
        """Hand over and end a queue's mailbox; what it has counted."""
        handle = MailboxHandle(declared)
        counters: Mapping[str, int] = (await handle.statistics())[queue]["counters"]
        await handle.stop()
        ray.kill(ray.get_actor(actor_name(queue, 0), namespace="spaza"))
        return counters

    def stop(self) -> None:
        ray.shutdown()
        if self._postgres is not None:
            self._postgres.stop()


class MailboxBroker:
    """For each load a queue, a publisher and a consumer of its own."""

    def __init__(self, directory: Path) -> None:
        self._platform = Platform(directory)

    def start(self) -> None:
        self._platform.start()

    async def run(self, load: Load) -> Turn:
        published, _, _ = await self._load(f"alone-{load.publishers}", load, consumed=False)
        sent, (consumed, ended), counted = await self._load(f"both-{load.publishers}", load, consumed=True)
        began = sent.began - 1.0
        batches = {
            "messages a commit": counted["published"] / counted["commits"],
            "messages a delivery": counted["delivered"] / counted["batches"],
        }
        per_s = consumed / (ended - began)
        return Turn("mailbox", load.publishers, published, per_s, sent.all_confirmed, consumed, batches)

    def stop(self) -> None:
        self._platform.stop()

    async def _load(
        self, queue: str, load: Load, *, consumed: bool
    ) -> tuple[Published, tuple[int, float], Mapping[str, int]]:
        consumer, publisher = start_consumer(f"consumer-{queue}"), start_publisher()
        declared = await self._platform.declare(queue, f"consumer-{queue}" if consumed else "")
        published: Published = await publisher.publish.remote(declared, queue, load)
        counted: tuple[int, float] = await consumer.count.remote()
        while consumed and counted[0] < published.all_confirmed and time.monotonic() < counted[1] + _STALL_S:
            await asyncio.sleep(0.2)
            counted = await consumer.count.remote()
        counters = await self._platform.end(declared, queue)
        for actor in (publisher, consumer):
            ray.kill(actor)
        return published, counted, counters
