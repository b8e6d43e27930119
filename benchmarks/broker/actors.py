"""Who publishes to the mailbox and who consumes from it while it is measured: an actor each, and so a process each."""

import asyncio
import time
from typing import Any

import ray

from actors.mailbox import Delivery, MailboxHandle, Message, Outcome, Topology, ack, retry_after
from benchmarks.broker.brokers import KEYS, Load, Published, body, publish_all

# As many merchants as in the other benchmarks.
_TENANTS = 50
_CHUNK, _AT_ONCE = 250, 4
_OPTIONS = {"namespace": "spaza", "num_cpus": 0}


def message(queue: str, number: int, *, keys: int = KEYS) -> Message:
    """Message number n of a queue; a key's messages are one tenant's."""
    key = number % keys
    return Message(f"{queue}-{number}", f"k{key}", f"t{key % _TENANTS}", body(number), {}, time.time())


class Publisher:
    """The publisher's process."""

    async def publish(self, declared: Topology, queue: str, load: Load) -> Published:
        """Publish in a closed loop, one message a call."""
        handle = MailboxHandle(declared)

        async def publish(number: int) -> None:
            await handle.publish("bench", queue, [message(queue, number)], timeout_s=30.0)

        return await publish_all(publish, load)

    async def fill(self, declared: Topology, queue: str, first: int, count: int) -> None:
        """Publish so many messages as fast as they are confirmed, many with a call."""
        handle = MailboxHandle(declared)
        starts = iter(range(first, first + count, _CHUNK))

        async def publish() -> None:
            for start in starts:
                numbers = range(start, min(start + _CHUNK, first + count))
                chunk = [message(queue, number) for number in numbers]
                await handle.publish("bench", queue, chunk, timeout_s=60.0)

        await asyncio.gather(*(publish() for _ in range(_AT_ONCE)))

    async def keep(
        self, declared: Topology, queue: str, depth: int, consumer: Any, *, seconds: float = 1e9, most: int = 1 << 60
    ) -> None:
        """Keep about so many waiting, as the consumer's count says, for so long or until so many were consumed."""
        handle = MailboxHandle(declared)
        published, until = 0, time.monotonic() + seconds
        while time.monotonic() < until:
            consumed, _ = await consumer.count.remote()
            if consumed >= most:
                return
            missing = min(depth - (published - consumed), most - published)
            if missing < min(_CHUNK // 2, most - published) or not missing:
                await asyncio.sleep(0.005)
                continue
            chunk = [message(queue, published + one) for one in range(missing)]
            await handle.publish("bench", queue, chunk, timeout_s=30.0)
            published += missing


class EmptyConsumer:
    """Acknowledges, and counts.

    Args:
        later_every: one message in so many is asked for again first, so that it leaves a row of its retry; 0 for none.
    """

    def __init__(self, later_every: int = 0) -> None:
        self._later_every, self._consumed, self._last = later_every, 0, 0.0

    async def consume(self, batch: list[Delivery]) -> list[Outcome]:
        outcomes = [self._outcome(one) if self._later_every else ack() for one in batch]
        self._consumed += sum(one.kind == "ack" for one in outcomes)
        if batch:
            self._last = time.monotonic()
        return outcomes

    async def count(self) -> tuple[int, float]:
        """How many were acknowledged, and when the last came."""
        return self._consumed, self._last

    def _outcome(self, delivery: Delivery) -> Outcome:
        if delivery.attempt == 1 and delivery.seq % self._later_every == 0:
            return retry_after(0.05, "later")
        return ack()


def start_publisher() -> Any:
    remote: Any = ray.remote(Publisher)
    return remote.options(**_OPTIONS).remote()


def start_consumer(name: str, later_every: int = 0) -> Any:
    remote: Any = ray.remote(EmptyConsumer)
    return remote.options(name=name, **_OPTIONS).remote(later_every)
