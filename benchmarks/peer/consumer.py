"""The peer's consumer: one process that handles many messages at once, each with a transaction and a send of its own.

Its known weakness is that of its kind: a crash between the commit and the send loses the reply, for the next delivery
finds the message done. Spaza pays for not having it; the peer is not charged with mending it.
"""

import asyncio
import logging
import signal

import aio_pika
import aiohttp
import asyncpg
import orjson
import uvloop
from aio_pika.abc import AbstractIncomingMessage
from redis.asyncio import Redis

from benchmarks.peer.environment import PeerEnvironment, read_environment
from benchmarks.peer.schemas import QueuedMessage
from benchmarks.peer.store import PeerStore, Reply, Tenant
from benchmarks.peer.topology import declare

GRAPH_VERSION = "v23.0"
_CLAIM_S = 86_400
_SEND_TIMEOUT_S = 10.0
_log = logging.getLogger(__name__)


class Consumer:
    """Handles messages of the queue, at most ``concurrency`` of them at once."""

    def __init__(
        self, environment: PeerEnvironment, store: PeerStore, redis: Redis, http: aiohttp.ClientSession
    ) -> None:
        self._graph_url = environment.graph_url
        self._store = store
        self._redis = redis
        self._http = http
        self._slots = asyncio.Semaphore(environment.concurrency)

    async def on_message(self, incoming: AbstractIncomingMessage) -> None:
        """Handle one delivery; aio-pika runs each in a task of its own."""
        async with self._slots:
            try:
                await self._handle(incoming)
            except Exception:  # noqa: BLE001 - whatever it is, the queue counts it and gives up after 20
                _log.exception("message_failed")
                await incoming.nack(requeue=True)
            else:
                await incoming.ack()

    async def _handle(self, incoming: AbstractIncomingMessage) -> None:
        queued = QueuedMessage.model_validate_json(incoming.body)
        claim = f"processed:{queued.message.id}"
        fresh = await self._redis.set(claim, 1, nx=True, ex=_CLAIM_S)
        if not fresh and not incoming.redelivered:
            return
        tenant = await self._store.tenant(queued.phone_number_id)
        if tenant is None:
            _log.warning("tenant_unknown")
            return
        reply = await self._store.decide(tenant, queued)
        if reply is None:
            return
        wamid = await self._send(tenant, reply)
        await self._store.record_sent(reply.id, wamid)

    async def _send(self, tenant: Tenant, reply: Reply) -> str:
        async with self._http.post(
            f"{self._graph_url}/{GRAPH_VERSION}/{tenant.phone_number_id}/messages",
            data=orjson.dumps(reply.payload),
            headers={"Authorization": f"Bearer {tenant.access_token}", "Content-Type": "application/json"},
        ) as response:
            response.raise_for_status()
            answer = orjson.loads(await response.read())
            return str(answer["messages"][0]["id"])


async def consume(environment: PeerEnvironment) -> None:
    """Consume until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with (
        asyncpg.create_pool(
            environment.postgres_dsn, min_size=environment.pool_size, max_size=environment.pool_size
        ) as pool,
        Redis.from_url(environment.redis_url) as redis,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=environment.concurrency),
            timeout=aiohttp.ClientTimeout(total=_SEND_TIMEOUT_S),
        ) as http,
        await aio_pika.connect_robust(environment.amqp_url) as connection,
    ):
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=environment.prefetch)
        queue = await declare(channel)
        consumer = Consumer(environment, PeerStore(pool, redis), redis, http)
        tag = await queue.consume(consumer.on_message)
        await ended.wait()
        await queue.cancel(tag)


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(consume(read_environment()))


if __name__ == "__main__":
    main()
