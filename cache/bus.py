"""Publish and subscribe: what many processes have to hear at once, in the envelope ``timestamp, correlationId, data``.

Redis keeps nothing for who does not listen: who may have missed something is told, and drops what it kept.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import orjson
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from cache.connection import RedisConnection
from cache.errors import EnvelopeError
from kernel.growth import growing_s
from kernel.identifiers import new_id
from telemetry.log import get_logger

_CANCEL_AGAIN_S = 0.2
_log = get_logger("bus")


class Envelope(NamedTuple):
    """One message.

    Attributes:
        timestamp_ms: when it was published, by the publisher's clock.
        correlation_id: of what caused it.
        data: anything that JSON holds.
    """

    timestamp_ms: int
    correlation_id: str
    data: Any

    def encoded(self) -> bytes:
        """As it goes over the wire."""
        return orjson.dumps({"timestamp": self.timestamp_ms, "correlationId": self.correlation_id, "data": self.data})


class BusTimes(NamedTuple):
    """Seconds.

    Attributes:
        connect_s: to make a connection and subscribe.
        quiet_s: without a message, after which the connection is asked whether it still is one.
        answer_s: for the answer to that.
        first_s: until the first new try after the subscription broke, doubling with each.
        longest_s: between tries at most.
    """

    connect_s: float = 1.0
    quiet_s: float = 2.0
    answer_s: float = 1.5
    first_s: float = 0.05
    longest_s: float = 2.0

    @property
    def noticed_s(self) -> float:
        """After so long all who listened have noticed that nothing is heard; half a second of it is for being busy."""
        return self.quiet_s + self.answer_s + 0.5


_TIMES = BusTimes()


def decoded(raw: bytes | str) -> Envelope:
    """Read a message.

    Raises:
        EnvelopeError: it is not in the form of an envelope.
    """
    try:
        fields = orjson.loads(raw)
        return Envelope(int(fields["timestamp"]), str(fields["correlationId"]), fields["data"])
    except (ValueError, TypeError, KeyError) as error:
        raise EnvelopeError(type(error).__name__) from error


async def publish(connection: RedisConnection, channel: str, data: Any, *, correlation_id: str | None = None) -> int:
    """Tell all who listen now.

    Args:
        connection: to Redis; it is asked even if it failed a moment ago.
        channel: which they listen to.
        data: anything that JSON holds.
        correlation_id: of what caused it; None for a new one.

    Returns:
        how many processes were told.

    Raises:
        RedisAwayError: nobody may have been.
    """
    envelope = Envelope(time.time_ns() // 1_000_000, new_id() if correlation_id is None else correlation_id, data)
    told: int = await connection.ask(lambda: connection.client.publish(channel, envelope.encoded()), insist=True)
    return told


class Subscription:
    """Listens to one channel until it is closed, on a connection of its own, and again after that broke.

    Between ``began`` and ``lost`` every message that is published arrives at ``heard``, in order; before and after,
    messages are missed. A connection that breaks without a word is found out after ``quiet_s + answer_s``. For one
    event loop; the callbacks are synchronous and run in it.
    """

    def __init__(
        self,
        connection: RedisConnection,
        channel: str,
        *,
        heard: Callable[[Envelope], None],
        began: Callable[[], None],
        lost: Callable[[], None],
        times: BusTimes = _TIMES,
    ) -> None:
        """Listen as soon as the event loop comes to it, until ``aclose`` or the connection's ``aclose``.

        Args:
            connection: names the Redis, and ends this when it is closed.
            channel: to listen to.
            heard: called with each message. Messages of another form are logged and left out.
            began: called when it has been subscribed.
            lost: called when that is over. Not called before ``began``.
            times: see there.
        """
        self._connection, self._channel, self._times = connection, channel, times
        self._heard, self._began, self._lost = heard, began, lost
        self._closing = False
        self._task = asyncio.get_running_loop().create_task(self._run())
        connection.close_first(self.aclose)

    async def aclose(self) -> None:
        """End it; ``lost`` is called if it listened."""
        self._closing = True
        # A connection that is being made may swallow a cancellation.
        while not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=_CANCEL_AGAIN_S)

    async def _run(self) -> None:
        failures = 0
        while not self._closing:
            # Of its own: this one waits for as long as nothing is said.
            client = Redis.from_url(
                self._connection.url, socket_connect_timeout=self._times.connect_s, retry=Retry(NoBackoff(), 0)
            )
            listening = False
            try:
                async with client.pubsub() as channel:
                    async with asyncio.timeout(self._times.connect_s):
                        await channel.subscribe(self._channel)
                        while (await self._next(channel, self._times.connect_s))["type"] != "subscribe":
                            pass
                    listening, failures = True, 0
                    self._began()
                    await self._listen(channel)
            except (RedisError, OSError, TimeoutError) as error:
                failures += 1
                _log.warning("subscription_broke", channel=self._channel, error=type(error).__name__)
            except Exception:  # noqa: BLE001 - whoever relies on it must not stay deaf, whatever it was
                failures += 1
                _log.exception("subscription_failed", channel=self._channel)
            finally:
                if listening:
                    self._lost()
                with suppress(RedisError, OSError):
                    await client.aclose()
            await asyncio.sleep(growing_s(failures, self._times.first_s, self._times.longest_s))

    async def _listen(self, channel: Any) -> None:
        while True:
            message = await channel.get_message(timeout=self._times.quiet_s)
            if message is None:
                await channel.ping()
                message = await self._next(channel, self._times.answer_s)
            if message["type"] == "message":
                self._hear(message["data"])

    async def _next(self, channel: Any, timeout_s: float) -> Any:
        message = await channel.get_message(timeout=timeout_s)
        if message is None:
            raise TimeoutError
        return message

    def _hear(self, raw: bytes) -> None:
        try:
            envelope = decoded(raw)
        except EnvelopeError as error:
            _log.warning("message_not_understood", channel=self._channel, error=str(error))
            return
        self._heard(envelope)
