"""How many connections an instance takes of a PostgreSQL that it shares with others. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from actors.shards.access import PoolLimits
from actors.shards.dsn import server_of, shard_dsn
from config.topology import Topology

_SHARDS = range(32)
# Of an owner of a partition that is partitioned by key; one by shard has one to each of its databases.
_BY_KEY = 3


class Wanted(NamedTuple):
    """Connections to one server.

    Attributes:
        least: what is held all the time, and one for each shard's units.
        most: what is taken when all shards are busy.
    """

    least: int
    most: int


def wanted(dsn: str, topology: Topology, app_connections: int) -> Wanted:
    """What the server of shard 0 is asked for, which often is that of all shards.

    Args:
        dsn: given, with a placeholder or without.
        topology: whose owners hold connections.
        app_connections: of one shard's pool, at most.
    """
    servers = [server_of(shard_dsn(dsn, shard)) for shard in _SHARDS]
    here = [shard for shard, server in zip(_SHARDS, servers, strict=True) if server == servers[0]]
    owners = sum(_owners(queue.partition_by, queue.partitions, here) for queue in topology.sources())
    each = app_connections + PoolLimits().system_connections
    return Wanted(owners + len(here), owners + len(here) * each)


def _owners(partition_by: str, partitions: int, here: Sequence[int]) -> int:
    if partition_by == "key":
        return _BY_KEY * sum(number % len(_SHARDS) in here for number in range(partitions))
    return len(here)
