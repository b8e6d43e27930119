"""Numbers in Redis, each under its key for a while. Their one writer holds them itself; these are for its successor."""

from collections.abc import Sequence
from typing import Protocol

from cache.connection import RedisConnection, RedisTimeouts
from cache.errors import RedisAwayError

# A decision waits for a read where a tenant is seen for the first time.
_TIMEOUTS = RedisTimeouts(connect_s=0.25, command_s=0.25)


class KeptNumber(Protocol):
    """A number to be kept."""

    @property
    def key(self) -> str:
        """Under which."""

    @property
    def value(self) -> int:
        """The number."""

    @property
    def kept_s(self) -> float:
        """Seconds."""


class RedisCounters:
    """Reads and writes numbers by the batch, each batch in one trip. For one event loop."""

    def __init__(self, url: str) -> None:
        """Connect to nothing yet; ``url`` as ``RedisConnection`` takes it."""
        self._connection = RedisConnection(url, timeouts=_TIMEOUTS)

    async def read(self, keys: Sequence[str]) -> list[int] | None:
        """The numbers, 0 where there is none or something else; None while Redis is away."""
        if not keys:
            return []
        try:
            texts = await self._connection.ask(lambda: self._connection.client.mget(keys))
        except RedisAwayError:
            return None
        return [_number(text) for text in texts]

    async def write(self, values: Sequence[KeptNumber]) -> bool:
        """Replace numbers; False if Redis is away, and then some may have been."""

        async def write() -> None:
            async with self._connection.client.pipeline(transaction=False) as pipeline:
                for one in values:
                    pipeline.set(one.key, one.value, px=max(1, int(one.kept_s * 1000)))
                await pipeline.execute()

        if not values:
            return True
        try:
            await self._connection.ask(write)
        except RedisAwayError:
            return False
        return True

    async def aclose(self) -> None:
        """Close connections."""
        await self._connection.aclose()


def _number(text: bytes | str | None) -> int:
    """What was written by hand and is no number counts as nothing; nor does less than that."""
    try:
        return 0 if text is None else max(0, int(text))
    except ValueError:
        return 0
