"""RabbitMQ as a contestant: a quorum queue, publisher confirms, manual acknowledgement, prefetch 64; all on uvloop."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import aio_pika
import uvloop
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from benchmarks.broker.brokers import Load, Published, Turn, body, publish_all
from benchmarks.peer.rabbitmq import RabbitMq
from benchmarks.peer.system import require_rabbitmq

_QUEUE = "bench"
_PREFETCH = 64
_STALL_S = 3.0


class RabbitBroker:
    """One node, and for each load a publisher's and a consumer's process."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._server: RabbitMq | None = None

    def start(self) -> None:
        self._server = RabbitMq(require_rabbitmq(), self._directory / "rabbitmq")
        self._server.start()

    async def run(self, load: Load) -> Turn:
        published = _published(await self._work("publish", load))
        await self._work("purge", load)
        both = asyncio.gather(self._work("consume", load), self._later("publish", load))
        (consumed, ended), loaded = await both
        sent = _published(loaded)
        began = sent.began - 1.0
        per_s = consumed / (ended - began)
        return Turn("rabbitmq", load.publishers, published, per_s, sent.all_confirmed, int(consumed), {})

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()

    async def _later(self, work: str, load: Load) -> list[float]:
        await asyncio.sleep(1.0)  # the consumer is there first
        return await self._work(work, load)

    async def _work(self, work: str, load: Load) -> list[float]:
        assert self._server is not None
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.broker.rabbitmq", work, self._server.url),
            *(str(load.publishers), str(load.seconds)),
            stdout=subprocess.PIPE,
        )
        out, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"the process that was to {work} ended with {process.returncode}")
        answer: list[float] = json.loads(out)
        return answer


def _published(answer: list[float]) -> Published:
    confirmed, *figures, all_confirmed, cpu_share = answer
    per_s, p50_ms, p99_ms, began, ended = figures
    return Published(int(confirmed), per_s, p50_ms, p99_ms, began, ended, int(all_confirmed), cpu_share)


async def _declare(channel: AbstractChannel) -> AbstractQueue:
    return await channel.declare_queue(_QUEUE, durable=True, arguments={"x-queue-type": "quorum"})


async def _publish(url: str, load: Load) -> list[float]:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        await _declare(channel)
        exchange = channel.default_exchange

        async def publish(number: int) -> None:
            message = aio_pika.Message(
                body(number),
                message_id=str(number),
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                timestamp=time.time(),
            )
            await exchange.publish(message, _QUEUE, mandatory=True, timeout=30.0)

        return list(await publish_all(publish, load))


async def _consume(url: str, load: Load) -> list[float]:
    """Consume until nothing has come for a while after something had."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=_PREFETCH)
        queue = await _declare(channel)
        consumed, last = 0, time.monotonic() + load.seconds

        async def on_message(message: AbstractIncomingMessage) -> None:
            nonlocal consumed, last
            await message.ack()
            consumed, last = consumed + 1, time.monotonic()

        tag = await queue.consume(on_message)
        while time.monotonic() < last + _STALL_S:  # noqa: ASYNC110 - ends when nothing happens
            await asyncio.sleep(0.2)
        await queue.cancel(tag)
        return [consumed, last]


async def _purge(url: str, load: Load) -> list[float]:
    del load
    async with await aio_pika.connect(url) as connection:
        await (await _declare(await connection.channel())).purge()
    return []


def main() -> None:
    work, url, publishers, seconds = sys.argv[1:]
    does = {"publish": _publish, "consume": _consume, "purge": _purge}[work]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(does(url, Load(int(publishers), float(seconds))))))


if __name__ == "__main__":
    main()
