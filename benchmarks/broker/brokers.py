"""What both brokers are asked for, and the closed loop of publishers that asks it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Protocol

from benchmarks.percentiles import summarize

# A short WhatsApp message with its envelope.
_BODY_BYTES = 600
KEYS = 1_000


def body(number: int) -> bytes:
    """Of message number n, its own: those of a call that share theirs are sent, and held in memory, once."""
    return b"%0*d" % (_BODY_BYTES, number)


class Load(NamedTuple):
    """So many publishers, each a coroutine with one confirm outstanding, for so long.

    Attributes:
        publishers: how many.
        seconds: for which their confirms count.
        warm_s: for which they publish before.
    """

    publishers: int
    seconds: float
    warm_s: float = 1.0


class Published(NamedTuple):
    """What the publishers saw.

    Attributes:
        confirmed: messages, after the warm-up.
        began: the clock of all processes of the machine (``time.monotonic``) when counting began.
        ended: when the last confirm came.
        all_confirmed: messages, the warm-up's among them.
        cpu_share: of one core that the publisher's process used; near 1 it, and not the broker, is the limit.
    """

    confirmed: int
    per_s: float
    p50_ms: float
    p99_ms: float
    began: float
    ended: float
    all_confirmed: int
    cpu_share: float


class Turn(NamedTuple):
    """One load on one broker.

    Attributes:
        publish: without a consumer.
        end_to_end_per_s: messages that an empty consumer had acknowledged, from the first publish to the last
            acknowledgement, while the same publishers published.
        consumed: how many of ``sent`` the consumer had.
        batches: average sizes, where the broker has any.
    """

    broker: str
    publishers: int
    publish: Published
    end_to_end_per_s: float
    sent: int
    consumed: int
    batches: Mapping[str, float]


class Broker(Protocol):
    """One of the contestants, with a publisher's and a consumer's process of its own."""

    def start(self) -> None:
        """Start it; raises ``UnavailableError``."""

    async def run(self, load: Load) -> Turn:
        """One load, first without, then with a consumer."""

    def stop(self) -> None:
        """End it, whatever state it is in."""


async def publish_all(publish: Callable[[int], Awaitable[None]], load: Load) -> Published:
    """Publish in a closed loop, each number once.

    Args:
        publish: returns when message number n is confirmed.
        load: how many coroutines, how long.
    """
    latencies: list[float] = []
    clock = time.monotonic
    number = 0
    confirmed = 0
    cpu_s = time.process_time()
    began = clock() + load.warm_s
    ends = began + load.seconds

    async def publisher() -> None:
        nonlocal number, confirmed
        while (at := clock()) < ends:
            mine, number = number, number + 1
            await publish(mine)
            confirmed += 1
            if at >= began:
                latencies.append(clock() - at)

    await asyncio.gather(*(publisher() for _ in range(load.publishers)))
    ended = clock()
    spread = summarize(latencies)
    per_s = len(latencies) / (ended - began)
    share = (time.process_time() - cpu_s) / (ended - began + load.warm_s)
    return Published(len(latencies), per_s, spread.p50_ms, spread.p99_ms, began, ended, confirmed, share)
