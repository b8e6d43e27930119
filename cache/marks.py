"""Marks of sends: a message is marked before the call that sends it, so that a crash in between can be seen.

Keys: ``sending:{id}`` holds the time of the mark in ms, or ``sent:{wamid}`` when Meta took the message and the shard
could not be told; a day each. ``sending:since`` holds the time from which on there are marks: what was published
before it may have been sent under a mark that was lost.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cache.connection import RedisConnection
from cache.errors import RedisAwayError

_PREFIX = "sending:"
_SINCE = "sending:since"
_SENT = b"sent:"
_KEPT_S = 86_400

# KEYS: sending:since, sending:{id} ...; ARGV: now in ms, seconds to keep a mark.
_MARK = """
redis.call('SET', KEYS[1], ARGV[1], 'NX')
for at = 2, #KEYS do
  redis.call('SET', KEYS[at], ARGV[1], 'EX', ARGV[2])
end
"""
# KEYS: sending:since, sending:{id} ...; ARGV: now in ms. Returns the value of each.
_READ = """
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('MGET', unpack(KEYS))
"""


class Mark(NamedTuple):
    """One message's mark.

    Attributes:
        at_ms: when it was marked; None for one that is known to be sent.
        wamid: Meta's id, where the message is known to be sent.
    """

    at_ms: int | None
    wamid: str | None


class MarksRead(NamedTuple):
    """What Redis knows.

    Attributes:
        since_ms: from when on there are marks.
        marks: of the messages that have one.
    """

    since_ms: int
    marks: Mapping[str, Mark]


class Marks:
    """Writes and reads marks by the batch. Holds no state; safe to use from many tasks."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._mark = connection.client.register_script(_MARK)
        self._read = connection.client.register_script(_READ)

    async def mark(self, ids: Sequence[str], now_ms: int) -> bool:
        """Mark messages as about to be sent; with none, only makes sure that marks have a beginning.

        Returns:
            Whether they are marked; False while Redis is away, and then they may be.
        """
        try:
            await self._connection.ask(lambda: self._mark(_keys(ids), [now_ms, _KEPT_S]))
        except RedisAwayError:
            return False
        return True

    async def read(self, ids: Sequence[str], now_ms: int) -> MarksRead | None:
        """The marks of messages; None while Redis is away."""
        try:
            since, *values = await self._connection.ask(lambda: self._read(_keys(ids), [now_ms]))
        except RedisAwayError:
            return None
        marks = {one: _parse(value) for one, value in zip(ids, values, strict=True) if value is not None}
        return MarksRead(int(since), marks)

    async def clear(self, ids: Sequence[str]) -> None:
        """Remove the marks of messages that were provably not sent. A mark that stays only makes them wait."""
        if not ids:
            return
        try:
            await self._connection.ask(lambda: self._connection.client.delete(*_keys(ids)[1:]))
        except RedisAwayError:
            return

    async def remember_sent(self, wamids: Mapping[str, str]) -> bool:
        """Keep the wamids, by message id, of sends that the shard could not be told of; False while Redis is away."""
        values = {_PREFIX + one: _SENT + wamid.encode() for one, wamid in wamids.items()}

        async def write() -> None:
            async with self._connection.client.pipeline(transaction=False) as pipeline:
                for key, value in values.items():
                    pipeline.set(key, value, ex=_KEPT_S)
                await pipeline.execute()

        try:
            await self._connection.ask(write)
        except RedisAwayError:
            return False
        return True


def _keys(ids: Sequence[str]) -> list[str]:
    return [_SINCE, *(_PREFIX + one for one in ids)]


def _parse(value: bytes) -> Mark:
    if value.startswith(_SENT):
        return Mark(None, value[len(_SENT) :].decode())
    return Mark(int(value), None)
