"""The connection to Redis, and what happens while Redis is away."""

import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from cache.errors import RedisAwayError
from telemetry.log import get_logger

_log = get_logger("cache")
_T = TypeVar("_T")


class RedisTimeouts(NamedTuple):
    """Seconds.

    Attributes:
        connect_s: to make a connection.
        command_s: for the answer to one command, or one script over a batch.
        away_s: after a failure Redis is not asked again for so long, so that a Redis that hangs costs one timeout
            now and then, not one for each batch.
    """

    connect_s: float = 0.5
    command_s: float = 0.5
    away_s: float = 1.0


_TIMEOUTS = RedisTimeouts()


class RedisConnection:
    """Asks Redis with a time limit and without retries. One per process and event loop."""

    def __init__(
        self, url: str, *, timeouts: RedisTimeouts = _TIMEOUTS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: as ``redis.asyncio.from_url`` takes it.
            timeouts: of each part.
            clock: seconds that only go up.
        """
        self.url = url
        self.client: Redis = Redis.from_url(
            url,
            socket_connect_timeout=timeouts.connect_s,
            socket_timeout=timeouts.command_s,
            # Who asks decides what to do without an answer; waiting for one helps nobody.
            retry=Retry(NoBackoff(), 0),
            max_connections=32,
        )
        self._away_s = timeouts.away_s
        self._clock = clock
        self._away_until = 0.0
        self.failures = 0
        self._first: list[Callable[[], Awaitable[None]]] = []

    async def ask(self, command: Callable[[], Awaitable[_T]], *, insist: bool = False) -> _T:
        """Run a command.

        Args:
            command: with the client.
            insist: even if one failed a moment ago.

        Raises:
            RedisAwayError: it failed, or one failed a moment ago.
        """
        if not insist and self._clock() < self._away_until:
            raise RedisAwayError("it failed a moment ago")
        try:
            return await command()
        except (RedisError, OSError, TimeoutError) as error:
            self.failures += 1
            self._away_until = self._clock() + self._away_s
            _log.warning("redis_away", error=type(error).__name__, away_s=self._away_s)
            raise RedisAwayError(type(error).__name__) from error

    def close_first(self, close: Callable[[], Awaitable[None]]) -> None:
        """Have something that depends on this closed before it."""
        self._first.append(close)

    async def aclose(self) -> None:
        """Close what depends on this, and then the connections."""
        while self._first:
            await self._first.pop()()
        await self.client.aclose()
