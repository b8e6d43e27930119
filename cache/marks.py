"""Marks of sends: a message is marked before the call that sends it, so that a crash in between can be seen.

Keys: ``sending:{id}`` holds the time of the mark in ms, or ``sent:{wamid}`` when Meta took the message and the shard
could not be told; a day each. ``sending:since`` holds ``{ms}:{run_id}``, the time from which on there are marks, and
the run of Redis that they are of: what was published before it may have been sent under a mark that was lost. A Redis
that was restarted or replaced by its replica may lack the marks of its last second: with another run they begin anew.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from cache.connection import RedisConnection
from cache.errors import RedisAwayError

_PREFIX = "sending:"
_SINCE = "sending:since"
_SENT = b"sent:"
_KEPT_S = 86_400
_NOTHING: Mapping[str, int] = MappingProxyType({})

# KEYS: sending:since; ARGV: now in ms.
_BEGIN = """
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local since = redis.call('GET', KEYS[1])
if not since or string.match(since, ':(%x+)$') ~= run then
  since = ARGV[1] .. ':' .. run
  redis.call('SET', KEYS[1], since)
end
"""
# KEYS: sending:since, sending:{id} ...; ARGV: now in ms, seconds to keep a mark, for each id what it replaces or ''.
# Returns 1 for each that is marked now, 0 for one that holds another mark.
_MARK = f"""{_BEGIN}
local marked = {{}}
for at = 2, #KEYS do
  local replaced = ARGV[at + 1]
  if replaced ~= '' and redis.call('GET', KEYS[at]) == replaced then redis.call('DEL', KEYS[at]) end
  marked[at - 1] = redis.call('SET', KEYS[at], ARGV[1], 'NX', 'EX', ARGV[2]) and 1 or 0
end
return marked
"""
# KEYS: sending:since, sending:{id} ...; ARGV: now in ms. Returns the value of each.
_READ = f"""{_BEGIN}
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

    async def mark(
        self, ids: Sequence[str], now_ms: int, replaces: Mapping[str, int] = _NOTHING
    ) -> frozenset[str] | None:
        """Mark messages as about to be sent; with none, only makes sure that marks have a beginning.

        A mark is a claim: of two who mark a message one succeeds.

        Args:
            ids: of the messages.
            now_ms: the time of the marks.
            replaces: the times of the marks that may be replaced, for messages that are sent again.

        Returns:
            The messages that are marked now; the others hold a mark of somebody else's. None while Redis is away, and
            then they may be marked.
        """
        arguments = [now_ms, _KEPT_S, *(replaces.get(one, "") for one in ids)]
        try:
            marked = await self._connection.ask(lambda: self._mark(_keys(ids), arguments))
        except RedisAwayError:
            return None
        return frozenset(one for one, is_marked in zip(ids, marked, strict=True) if is_marked)

    async def read(self, ids: Sequence[str], now_ms: int) -> MarksRead | None:
        """The marks of messages; None while Redis is away."""
        try:
            since, *values = await self._connection.ask(lambda: self._read(_keys(ids), [now_ms]))
        except RedisAwayError:
            return None
        marks = {one: _parse(value) for one, value in zip(ids, values, strict=True) if value is not None}
        return MarksRead(int(since.partition(b":")[0]), marks)

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
