"""Cached values in Redis, for all processes: ``{prefix}{key}``, each with a lifetime.

A cache and nothing more: while Redis is away nothing is found and nothing is kept.
"""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import orjson

from cache.connection import RedisConnection
from cache.errors import RedisAwayError

V = TypeVar("V")
# Stands for a while where a value was forgotten, so that who read it before the change does not put it there after.
_FORGOTTEN = b"~"

# KEYS: the entries; ARGV: what marks a forgotten one, then value and lifetime in ms of each.
_PUT = """
for at = 1, #KEYS do
  if redis.call('GET', KEYS[at]) ~= ARGV[1] then redis.call('SET', KEYS[at], ARGV[2 * at], 'PX', ARGV[2 * at + 1]) end
end
"""


class EntryPolicy(NamedTuple):
    """How long Redis keeps things, in seconds.

    Attributes:
        present_s: a value at most, and up to ``jitter`` less, so that what was found together does not lapse together.
        absent_s: that something is not there.
        jitter: a part of either.
        forgotten_s: that a value was forgotten; longer than a look-up takes.
    """

    present_s: float = 3600.0
    absent_s: float = 30.0
    jitter: float = 0.1
    forgotten_s: float = 15.0


_POLICY = EntryPolicy()


class RedisEntries(Generic[V]):
    """Implements ``cache.aside.SharedCache``. Raises nothing of Redis'. Holds no state; for one event loop."""

    def __init__(
        self,
        connection: RedisConnection,
        prefix: str,
        *,
        form: int,
        encode: Callable[[V], Any],
        decode: Callable[[Any], V],
        policy: EntryPolicy = _POLICY,
    ) -> None:
        """Know how values are written.

        Args:
            connection: to Redis.
            prefix: of the keys, with the colon at its end.
            form: raised when the fields change; entries of another form are not read.
            encode: makes of a value what JSON holds.
            decode: the other way; raises ``ValueError`` or ``TypeError`` for what it does not understand.
            policy: see there.
        """
        self._connection, self._prefix, self._form, self._policy = connection, prefix, form, policy
        self._encode, self._decode = encode, decode
        self._put = connection.client.register_script(_PUT)

    async def get(self, keys: Sequence[str]) -> dict[str, V | None]:
        """What is known of these keys; None for what is known not to be there."""
        names = self._names(keys)
        try:
            texts = await self._connection.ask(lambda: self._connection.client.mget(names))
        except RedisAwayError:
            return {}
        found: dict[str, V | None] = {}
        for key, text in zip(keys, texts, strict=True):
            if text is not None:
                known, value = self._read(text)
                if known:
                    found[key] = value
        return found

    async def put(self, values: Mapping[str, V | None]) -> None:
        """Keep these, where nothing was forgotten a moment ago."""
        if not values:
            return
        arguments: list[bytes | int] = [_FORGOTTEN]
        for value in values.values():
            arguments += [orjson.dumps([self._form, None if value is None else self._encode(value)]), self._px(value)]
        try:
            await self._connection.ask(lambda: self._put(self._names(values), arguments))
        except RedisAwayError:
            return

    async def forget(self, keys: Collection[str]) -> bool:
        """Drop these. Tried even while Redis is left alone; False if it is away, and then they lapse by themselves."""
        lifetime_ms = int(self._policy.forgotten_s * 1000)

        async def write() -> None:
            async with self._connection.client.pipeline(transaction=False) as pipeline:
                for name in self._names(keys):
                    pipeline.set(name, _FORGOTTEN, px=lifetime_ms)
                await pipeline.execute()

        if keys:
            try:
                await self._connection.ask(write, insist=True)
            except RedisAwayError:
                return False
        return True

    def _names(self, keys: Collection[str]) -> list[str]:
        return [self._prefix + key for key in keys]

    def _px(self, value: V | None) -> int:
        kept_s = self._policy.absent_s if value is None else self._policy.present_s
        spread = random.uniform(1 - self._policy.jitter, 1)  # noqa: S311 - protects nothing
        return max(1, int(kept_s * spread * 1000))

    def _read(self, text: bytes | str) -> tuple[bool, V | None]:
        try:
            form, fields = orjson.loads(text)
            if form != self._form:
                return False, None
            return True, None if fields is None else self._decode(fields)
        except (ValueError, TypeError):
            # Forgotten, or written by another version or by hand: as good as nothing.
            return False, None
