"""What is there to be killed: servers, a cluster of two nodes, the mailbox, the consumer, the publisher."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import ray
from ray.cluster_utils import Cluster
from ray.exceptions import RayError
from ray.util.scheduling_strategies import In, NodeLabelSchedulingStrategy

from actors.mailbox import ActorConsumer, JournalAccess, start_mailboxes
from actors.mailbox.handle import NAMESPACE, actor_name
from actors.shards.dsn import shard_dsn
from cluster.ports import free_port
from cluster.postgres import PostgresServer
from cluster.redis_server import RedisServer
from tests.cluster.chaos.consumer import TABLES, RecordingConsumer
from tests.cluster.chaos.declared import CONSUMER, QUEUE, TOPOLOGY
from tests.servers import postgres, redis

ROOT = Path(__file__).resolve().parents[3]
PARTITIONS = TOPOLOGY.queues[QUEUE].partitions
LEDGER_SHARD = 31
# Where there is a worker node, mailboxes go there, so that its end is felt; else they go where they can.
_PLACEMENT = NodeLabelSchedulingStrategy(hard={}, soft={"part": In("worker")})  # type: ignore[no-untyped-call]
# A dead node is to be noticed in seconds.
_HEALTH = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1500,
    "health_check_failure_threshold": 4,
}
_LOOK_S = 5.0


class Ground:
    """Everything that runs. Each strike kills one part, and brings back what does not come back by itself."""

    def __init__(self, folder: Path, database: PostgresServer, cache: RedisServer, cluster: Any) -> None:
        self.folder, self.database, self.cache, self.cluster = folder, database, cache, cluster
        self.ledger = folder / "ledger"
        self.log = (folder / "publisher.log").open("ab")
        self.publisher: subprocess.Popen[bytes] | None = None
        self.worker: Any = None

    @property
    def consumer_dsn(self) -> str:
        return shard_dsn(self.database.tcp_dsn, LEDGER_SHARD)

    async def begin(self) -> None:
        for shard in range(PARTITIONS):
            connection = await asyncpg.connect(shard_dsn(self.database.tcp_dsn, shard))
            await connection.execute((ROOT / "actors/mailbox/schema.sql").read_text())
            await connection.execute("ALTER ROLE spaza_system LOGIN PASSWORD 'secret'")
            await connection.close()
        connection = await asyncpg.connect(self.consumer_dsn)
        await connection.execute(TABLES)
        await connection.close()
        self.add_worker()
        remote: Any = ray.remote(RecordingConsumer)
        options = {"name": CONSUMER, "namespace": NAMESPACE, "lifetime": "detached", "max_restarts": -1, "num_cpus": 0}
        remote.options(**options).remote(self.consumer_dsn, self.cache.url)
        access = JournalAccess(self.database.tcp_dsn, "secret", "chaos")
        consumers = {QUEUE: ActorConsumer(CONSUMER)}
        await asyncio.to_thread(start_mailboxes, TOPOLOGY, access, consumers, placement=_PLACEMENT, timeout_s=300.0)
        self.start_publisher()

    def add_worker(self) -> None:
        self.worker = self.cluster.add_node(num_cpus=1, object_store_memory=80_000_000, labels={"part": "worker"})

    def start_publisher(self) -> None:
        self.publisher = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.chaos.publisher", str(self.ledger), self.cluster.address],
            cwd=ROOT, stdout=self.log, stderr=self.log,
        )  # fmt: skip

    async def strike(self, victim: str, chance: random.Random) -> bool:
        """Kill; False if there was nothing to kill, or no mailbox on the node."""
        blow = getattr(self, f"_strike_{victim}")
        struck: bool = await blow(chance)
        return struck

    async def _strike_mailbox(self, chance: random.Random) -> bool:
        return _kill(await self._pid(actor_name(QUEUE, chance.randrange(PARTITIONS)), "statistics"))

    async def _strike_consumer(self, chance: random.Random) -> bool:
        return _kill(await self._pid(CONSUMER, "pid"))

    async def _strike_publisher(self, chance: random.Random) -> bool:
        assert self.publisher is not None
        self.publisher.kill()
        self.publisher.wait()
        await asyncio.sleep(chance.uniform(0.0, 0.5))
        self.start_publisher()
        return True

    async def _strike_postgres(self, chance: random.Random) -> bool:
        self.database.stop(mode="immediate")
        await asyncio.sleep(chance.uniform(0.0, 2.0))
        self.database.start(timeout_s=240.0)
        return True

    async def _strike_redis(self, chance: random.Random) -> bool:
        assert self.cache.process is not None
        self.cache.process.kill()
        self.cache.process.wait()
        await asyncio.sleep(chance.uniform(0.0, 1.0))
        self.cache.start(timeout_s=120.0)
        return True

    async def _strike_node(self, chance: random.Random) -> bool:
        """The worker node with all that runs there. The mailboxes come back on the other one."""
        dead = self.worker.node_id
        if dead not in (await self._placed_within(180.0)).values():
            _kill(await self._pid(actor_name(QUEUE, chance.randrange(PARTITIONS)), "statistics"))
            await asyncio.sleep(1.0)
        there = dead in (await self._placed_within(180.0)).values()
        self.cluster.remove_node(self.worker, allow_graceful=False)  # in the main thread, as Ray wants it
        await self._placed_within(300.0, elsewhere_than=dead)
        self.add_worker()
        return there

    async def _placed_within(self, limit_s: float, *, elsewhere_than: str = "") -> dict[str, str]:
        """On which node each mailbox runs, once all of them answer."""
        deadline = time.monotonic() + limit_s
        while not (placed := await self.placed()) or elsewhere_than in placed.values():
            if time.monotonic() > deadline:
                raise AssertionError(f"the mailboxes are not back after {limit_s:.0f} s: {placed}")
            await asyncio.sleep(0.3)
        return placed

    async def placed(self) -> dict[str, str]:
        """On which node each mailbox runs; empty if not all of them answer."""
        return await asyncio.to_thread(_placed)

    async def _pid(self, name: str, method: str) -> int:
        with suppress(RayError, ValueError, TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                actor = await asyncio.to_thread(ray.get_actor, name, namespace=NAMESPACE)
                answer = await getattr(actor, method).remote()
                return int(answer["pid"] if isinstance(answer, dict) else answer)
        return 0

    def end(self) -> None:
        if self.publisher is not None and self.publisher.poll() is None:
            self.publisher.kill()
        self.log.close()


def _kill(pid: int) -> bool:
    if pid == 0:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def _placed() -> dict[str, str]:
    names = [actor_name(QUEUE, group) for group in range(PARTITIONS)]
    try:
        actors = [ray.get_actor(name, namespace=NAMESPACE) for name in names]
        ray.get([actor.ping.remote() for actor in actors], timeout=_LOOK_S)
        found = {one["name"]: one["node_id"] for one in _states()}
    except (RayError, ValueError):
        return {}
    return {name: found[name] for name in names if name in found}


def _states() -> list[dict[str, str]]:
    states = ray._private.state.actors()  # the public listing asks the dashboard, of which there is none
    return [
        {"name": one["Name"], "node_id": one["Address"]["NodeID"]} for one in states.values() if one["State"] == "ALIVE"
    ]


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """Servers and a head node; ``Ground.begin`` starts the rest."""
    cluster: Any = Cluster()
    with postgres(folder / "p") as database, redis(folder / "r") as cache:
        head: dict[str, Any] = {
            "num_cpus": 2,
            "object_store_memory": 80_000_000,
            "include_dashboard": False,
            "dashboard_port": free_port(),
        }
        cluster.add_node(**head, temp_dir=str(folder / "ray"), labels={"part": "head"}, _system_config=_HEALTH)
        ray.init(address=cluster.address, namespace=NAMESPACE, log_to_driver=False)
        made = Ground(folder, database, cache, cluster)
        try:
            yield made
        finally:
            made.end()
            ray.shutdown()
            cluster.shutdown()
