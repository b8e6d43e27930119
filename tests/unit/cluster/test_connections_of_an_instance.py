"""How many connections a given PostgreSQL is asked for."""

from cluster.connections import Wanted, wanted
from config.topology import Topology

_TOPOLOGY = Topology.model_validate(
    {
        "exchanges": {"in": {"type": "topic"}},
        "queues": {
            "by.key": {"bindings": [{"exchange": "in", "routing_key": "key.*"}], "partition_by": "key"},
            "by.shard": {
                "bindings": [{"exchange": "in", "routing_key": "shard.*"}],
                "partition_by": "shard",
                "partitions": 32,
            },
        },
    }
)


def test_one_server_for_all_shards_holds_the_owners_and_every_pool() -> None:
    # 3 of the queue by key, 32 of the one by shard; 4 and 2 for each shard's two roles.
    assert wanted("postgresql://me@db/", _TOPOLOGY, 4) == Wanted(least=35 + 32, most=35 + 32 * 6)


def test_a_server_of_one_shard_holds_what_is_of_that_shard() -> None:
    assert wanted("postgresql://me@db-{shard}/shop", _TOPOLOGY, 4) == Wanted(least=4 + 1, most=4 + 6)
