"""Claims: who works on a message now, and which are done. A fast way to see a duplicate, not the proof of one.

Keys: ``processed:{id}`` holds a claimant's token until its lease ends, then ``done`` for a day.
"""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from redis.commands.core import AsyncScript

from cache.connection import RedisConnection
from cache.errors import RedisAwayError

_PREFIX = "processed:"
_DONE = "done"

# One script over a batch costs a fifth of a pipeline of commands. Its keys would have to share a slot in a Redis
# Cluster, which is not supported.

# KEYS: processed:{id} ...; ARGV: token, lease in ms. Returns what each held before; false where it was free.
_CLAIM = """
local held = {}
for at = 1, #KEYS do
  held[at] = redis.call('SET', KEYS[at], ARGV[1], 'NX', 'PX', ARGV[2], 'GET')
end
return held
"""
# KEYS: processed:{id} ...; ARGV: 'done', seconds to keep it.
_FINISH = """
for at = 1, #KEYS do
  redis.call('SET', KEYS[at], ARGV[1], 'EX', ARGV[2])
end
"""
# KEYS: processed:{id} ...; ARGV: token. Leaves alone what is somebody else's by now.
_RELEASE = """
for at = 1, #KEYS do
  if redis.call('GET', KEYS[at]) == ARGV[1] then redis.call('DEL', KEYS[at]) end
end
"""


class Claim(Enum):
    """How an attempt to claim a message ended."""

    OURS = "ours"
    ELSEWHERE = "elsewhere"
    DONE = "done"
    UNGUARDED = "unguarded"
    """Redis is away; the row on the shard tells duplicates alone."""


class ClaimPolicy(NamedTuple):
    """How long things are kept.

    Attributes:
        lease_ms: a claim, unless it is given back; ends before a delivery's lease does.
        done_s: that a message is done.
    """

    lease_ms: int = 5_000
    done_s: int = 86_400


_POLICY = ClaimPolicy()


class Claims:
    """Claims messages for one batch at a time. Holds no state; safe to use from many tasks."""

    def __init__(self, connection: RedisConnection, policy: ClaimPolicy = _POLICY) -> None:
        self._connection = connection
        self._policy = policy
        self._claim = connection.client.register_script(_CLAIM)
        self._finish = connection.client.register_script(_FINISH)
        self._release = connection.client.register_script(_RELEASE)

    async def claim(self, ids: Sequence[str], token: str) -> list[Claim]:
        """Try to claim messages.

        Args:
            ids: mailbox ids, each once.
            token: names this batch and no other.

        Returns:
            How each ended, in order; all ``UNGUARDED`` while Redis is away.
        """
        if not ids:
            return []
        try:
            held = await self._connection.ask(lambda: self._claim(_keys(ids), [token, self._policy.lease_ms]))
        except RedisAwayError:
            return [Claim.UNGUARDED] * len(ids)
        return [_claim(value) for value in held]

    async def finish(self, ids: Sequence[str]) -> None:
        """Remember that their effects are durable. Without Redis nothing is remembered, which harms nothing."""
        if ids:
            await self._quietly(self._finish, ids, [_DONE, self._policy.done_s])

    async def release(self, ids: Sequence[str], token: str) -> None:
        """Give claims back, so that another try need not wait for their lease to end."""
        if ids:
            await self._quietly(self._release, ids, [token])

    async def _quietly(self, script: AsyncScript, ids: Sequence[str], arguments: list[str | int]) -> None:
        try:
            await self._connection.ask(lambda: script(_keys(ids), arguments))
        except RedisAwayError:
            return


def _keys(ids: Sequence[str]) -> list[str]:
    return [_PREFIX + one for one in ids]


def _claim(held: bytes | None) -> Claim:
    if held is None:
        return Claim.OURS
    return Claim.DONE if held == _DONE.encode() else Claim.ELSEWHERE
