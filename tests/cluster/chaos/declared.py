"""The queue of the crash suite: two partitions, each with an actor of its own."""

from actors.mailbox import Topology

QUEUE = "chaos"
CONSUMER = "chaos-consumer"
KEYS = [f"k{number}" for number in range(16)]
# They get many messages at once, and so have some whose time runs out behind the others.
HOT_KEYS = ["hot0", "hot1"]

TOPOLOGY = Topology.model_validate(
    {
        "exchanges": {"in": {"type": "topic"}, "dlx": {"type": "direct"}},
        "queues": {
            QUEUE: {
                "bindings": [{"exchange": "in", "routing_key": "a.*"}],
                "dlx": "dlx", "partitions": 2, "lease_s": 10.0, "linger_ms": 10, "key_run": 4,
            },
            f"dlq.{QUEUE}": {"bindings": [{"exchange": "dlx", "routing_key": QUEUE}], "partitions": 2},
        },
    }
)  # fmt: skip
