"""Changes are said over a real Redis, in the fixed envelope, and who may have missed one is told."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cache.bus import BusTimes, Envelope, Subscription, publish
from cache.connection import RedisConnection
from cluster.redis_server import RedisServer
from tests.servers import PATIENT_REDIS, redis

# Redis has much time for an answer, but for who waits for it to be found out.
TIMES = BusTimes(connect_s=30.0, quiet_s=0.2, answer_s=30.0, first_s=0.02, longest_s=0.1)
HASTY = TIMES._replace(connect_s=1.0, answer_s=1.0)


class Ear:
    """Listens, and remembers in one order what it heard and what became of its subscription."""

    def __init__(self, connection: RedisConnection, times: BusTimes = TIMES) -> None:
        self.events: list[str] = []
        self.envelopes: list[Envelope] = []
        self.subscription = Subscription(
            connection, "test", heard=self._hear, began=lambda: self.events.append("began"),
            lost=lambda: self.events.append("lost"), times=times,
        )  # fmt: skip

    def _hear(self, envelope: Envelope) -> None:
        self.envelopes.append(envelope)
        self.events.append(str(envelope.data))

    async def until(self, *events: str) -> None:
        async with asyncio.timeout(60):
            while self.events != [*events]:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.005)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis(tmp_path) as started:
        yield started


@pytest.fixture
async def own(own_server: RedisServer) -> AsyncIterator[RedisConnection]:
    made = RedisConnection(own_server.url, timeouts=PATIENT_REDIS)
    yield made
    await made.aclose()


async def test_what_is_published_is_heard_by_all_who_listen_in_its_envelope(connection: RedisConnection) -> None:
    ears = [Ear(connection), Ear(connection)]
    for ear in ears:
        await ear.until("began")

    told = await publish(connection, "test", {"tenant_id": "a"}, correlation_id="c1")

    assert told == 2
    for ear in ears:
        await ear.until("began", "{'tenant_id': 'a'}")
        [envelope] = ear.envelopes
        assert envelope.correlation_id == "c1"
        assert envelope.timestamp_ms > 1_700_000_000_000


async def test_the_envelope_on_the_wire_has_the_three_fixed_fields(connection: RedisConnection) -> None:
    async with connection.client.pubsub() as channel:
        await channel.subscribe("test")
        await channel.get_message(timeout=60)
        await publish(connection, "test", [1])
        message = await channel.get_message(timeout=60)

    fields = json.loads(message["data"])
    assert set(fields) == {"timestamp", "correlationId", "data"}
    assert fields["data"] == [1]


@pytest.mark.parametrize("text", ["", "7", "{}", '{"timestamp": "x", "correlationId": 1, "data": 2}', "\xff"])
async def test_what_is_no_envelope_is_left_out_and_the_next_is_heard(connection: RedisConnection, text: str) -> None:
    ear = Ear(connection)
    await ear.until("began")

    await connection.client.publish("test", text)
    await publish(connection, "test", "well")

    await ear.until("began", "well")


async def test_a_quiet_subscription_is_asked_and_stays(connection: RedisConnection) -> None:
    ear = Ear(connection)
    await ear.until("began")

    await asyncio.sleep(1.0)
    await publish(connection, "test", "still")

    await ear.until("began", "still")


async def test_a_broken_subscription_says_so_and_listens_again(own: RedisConnection) -> None:
    ear = Ear(own)
    await ear.until("began")

    await own.client.client_kill_filter(_type="pubsub")

    await ear.until("began", "lost", "began")
    await publish(own, "test", "after")
    await ear.until("began", "lost", "began", "after")


async def test_a_redis_that_hangs_is_found_out(own: RedisConnection, own_server: RedisServer) -> None:
    import signal

    ear = Ear(own, HASTY)
    await ear.until("began")
    assert own_server.process is not None

    own_server.process.send_signal(signal.SIGSTOP)
    try:
        await ear.until("began", "lost")
    finally:
        own_server.process.send_signal(signal.SIGCONT)

    await ear.until("began", "lost", "began")


async def test_closing_the_connection_ends_the_subscription(server: RedisServer) -> None:
    connection = RedisConnection(server.url, timeouts=PATIENT_REDIS)
    ear = Ear(connection)
    await ear.until("began")

    await connection.aclose()

    assert ear.events == ["began", "lost"]
