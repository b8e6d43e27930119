"""Where a key lives: 32 logical shards, and the actors that own them.

MD5 is only the default: a tenant's placement row in the directory wins, so that a tenant can move.
"""

import hashlib

SHARDS = 32


def shard_of(key: str) -> int:
    """The shard on which a key lives unless the directory says otherwise.

    The remainder is taken of the whole digest. MD5 spreads keys here, it protects nothing; a handful of large
    tenants may still fall on one shard.
    """
    return int(hashlib.md5(key.encode(), usedforsecurity=False).hexdigest(), 16) % SHARDS


def group_of(shard: int, shards_per_actor: int) -> int:
    """The number of the actor that owns a shard.

    Raises:
        ValueError: the shard is not one of 0 to 31.
    """
    if not 0 <= shard < SHARDS:
        raise ValueError(f"shard {shard} does not exist; shards are 0 to {SHARDS - 1}")
    return shard // shards_per_actor


def groups(shards_per_actor: int) -> dict[int, range]:
    """Every actor's number with the shards it owns, in order; the last may own fewer."""
    return {
        first // shards_per_actor: range(first, min(first + shards_per_actor, SHARDS))
        for first in range(0, SHARDS, shards_per_actor)
    }
