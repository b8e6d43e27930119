"""Numbers in Redis, each under its key for a while. Their one writer holds them itself; these are for its successor.

While the writer is silent others may take from what is left, which is kept aside under a key of its own as well: what
stands under the first key is the writer's own and what is aside, whoever writes it and how often.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from cache.connection import RedisConnection, RedisTimeouts
from cache.errors import RedisAwayError

# A decision waits for a read where a tenant is seen for the first time.
_TIMEOUTS = RedisTimeouts(connect_s=0.25, command_s=0.25)
# Who takes has waited for the writer in vain already, and without an answer knows nothing of what others take.
_TAKING_TIMEOUTS = RedisTimeouts(connect_s=1.0, command_s=2.0)
_TAKING_AT_ONCE: Final = 8

# What is no number, or less than nothing, counts as nothing. MGET, for GET fails on what is no string.
_NUMBER: Final = """
local function number(key) return math.max(0, tonumber(redis.call('MGET', key)[1] or '0') or 0) end
"""
# KEYS: key, its key aside, ...; ARGV: the writer's own, ms to keep it, ... Returns what is aside of each.
_WRITE: Final = (
    _NUMBER
    + """
local aside = {}
for at = 1, #KEYS / 2 do
  aside[at] = number(KEYS[2 * at])
  redis.call('SET', KEYS[2 * at - 1], ARGV[2 * at - 1] + aside[at], 'PX', ARGV[2 * at])
end
return aside
"""
)
# KEYS: as above; ARGV: how much, whether less will do, how many times, and of each key the limit, ms to keep it, ...
# Returns what stands under each key then, and how much was taken each time.
_TAKE: Final = (
    _NUMBER
    + """
local asked, found, all, left = tonumber(ARGV[1]), {}, 0, math.huge
for at = 1, #KEYS / 2 do
  found[at] = number(KEYS[2 * at - 1])
  left = math.min(left, math.max(0, ARGV[2 * at + 2] - found[at]))
end
for time = 1, ARGV[3] do
  local taken = asked
  if asked > left then taken = ARGV[2] == '1' and left or 0 end
  found[#KEYS / 2 + time] = taken
  left, all = left - taken, all + taken
end
if all > 0 then
  for at = 1, #KEYS / 2 do
    found[at] = found[at] + all
    redis.call('SET', KEYS[2 * at - 1], found[at], 'PX', ARGV[2 * at + 3])
    redis.call('SET', KEYS[2 * at], number(KEYS[2 * at]) + all, 'PX', ARGV[2 * at + 3])
  end
end
return found
"""
)


class KeptNumber(Protocol):
    """A number to be kept."""

    @property
    def key(self) -> str:
        """Under which."""

    @property
    def aside_key(self) -> str:
        """Under which is kept what others have taken."""

    @property
    def value(self) -> int:
        """The number, without that."""

    @property
    def kept_s(self) -> float:
        """Seconds."""


class RedisCounters:
    """Reads and writes numbers by the batch, each batch in one trip. For one event loop."""

    def __init__(self, url: str, *, timeouts: RedisTimeouts = _TIMEOUTS) -> None:
        """Connect to nothing yet; ``url`` and ``timeouts`` as ``RedisConnection`` takes them."""
        self._connection = RedisConnection(url, timeouts=timeouts)
        self._write = self._connection.client.register_script(_WRITE)

    async def read(self, keys: Sequence[str]) -> list[int] | None:
        """The numbers, 0 where there is none or something else; None while Redis is away."""
        if not keys:
            return []
        try:
            texts = await self._connection.ask(lambda: self._connection.client.mget(keys))
        except RedisAwayError:
            return None
        return [_number(text) for text in texts]

    async def write(self, values: Sequence[KeptNumber]) -> list[int] | None:
        """Replace numbers, each by the one that is given and what is aside.

        Returns:
            what was aside of each, in order; None if Redis is away, and then some may have been replaced.
        """
        if not values:
            return []
        keys = [key for one in values for key in (one.key, one.aside_key)]
        arguments = [argument for one in values for argument in (one.value, _milliseconds(one.kept_s))]
        try:
            aside: list[int] = await self._connection.ask(lambda: self._write(keys, arguments))
        except RedisAwayError:
            return None
        return aside

    async def aclose(self) -> None:
        """Close connections."""
        await self._connection.aclose()


class Limited(NamedTuple):
    """A number that is not to grow above a limit.

    Attributes:
        key: under which it stands.
        aside_key: under which is kept what of it was taken here.
        limit: see above.
        kept_s: seconds from now.
    """

    key: str
    aside_key: str
    limit: int
    kept_s: float


class RedisTaking:
    """Takes from what is left, for those who cannot ask the writer. For one event loop."""

    def __init__(self, url: str, *, timeouts: RedisTimeouts = _TAKING_TIMEOUTS) -> None:
        """Connect to nothing yet; ``url`` and ``timeouts`` as ``RedisConnection`` takes them."""
        self._connection = RedisConnection(url, timeouts=timeouts)
        # All who come at once would want more connections than there may be.
        self._turn = asyncio.Semaphore(_TAKING_AT_ONCE)
        self._take = self._connection.client.register_script(_TAKE)

    async def take(
        self, numbers: Sequence[Limited], asked: int, *, partly: bool = False, times: int = 1
    ) -> list[int] | None:
        """Take from all of these, or from none; and again, in one trip.

        Args:
            numbers: at least one.
            asked: how much each time, 0 to take nothing.
            partly: whether less than that will do.
            times: how many times.

        Returns:
            what each number is then, and how much was taken each time; None while Redis is away, and then it may have
            been.
        """
        keys = [key for one in numbers for key in (one.key, one.aside_key)]
        limits = [argument for one in numbers for argument in (one.limit, _milliseconds(one.kept_s))]
        async with self._turn:
            try:
                found: list[int] = await self._connection.ask(
                    lambda: self._take(keys, [asked, int(partly), times, *limits])
                )
            except RedisAwayError:
                return None
        return found

    async def aclose(self) -> None:
        """Close connections."""
        await self._connection.aclose()


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))


def _number(text: bytes | str | None) -> int:
    """What was written by hand and is no number counts as nothing; nor does less than that."""
    try:
        return 0 if text is None else max(0, int(text))
    except ValueError:
        return 0
