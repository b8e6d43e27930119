"""A consumer publishes with the headers of what it was handed, which an operator had put back."""

import pickle
from typing import Any

from actors.mailbox.handle import MailboxHandle
from actors.mailbox.message import Message
from actors.mailbox.posting import Posting
from actors.mailbox.publisher import Errors
from actors.mailbox.redriven import redriven, stored_id
from config.topology import Topology
from tests.unit.actors.mailbox.test_partition import message

TOPOLOGY = Topology.model_validate(
    {
        "exchanges": {"x": {"type": "topic"}, "dead": {"type": "fanout"}},
        "queues": {
            "q": {"bindings": [{"exchange": "x", "routing_key": "#"}], "dlx": "dead"},
            "dead.q": {"bindings": [{"exchange": "dead"}]},
        },
    }
)


async def test_what_is_published_so_is_a_message_of_its_own_by_every_way() -> None:
    arrived: list[tuple[str, Message]] = []

    async def call(_queue: str, _group: int, method: str, batch: bytes, *_arguments: Any) -> Errors:
        arrived.extend((method, Message._make(one)) for _, messages, _ in pickle.loads(batch) for one in messages)
        return {}

    handle = MailboxHandle(TOPOLOGY)
    handle._posting = Posting(TOPOLOGY, None, None, call)
    handed = redriven(message("m1"), 2.0**62)
    mine = Message("m2", "k", "t", b"", {**handed.headers, "correlation_id": "c"}, 0.0)

    await handle.publish("x", "any", [mine], timeout_s=60.0)
    await handle.publish("dead", "any", [mine], timeout_s=60.0)
    await handle.dead_letter("q", [mine], "why", timeout_s=60.0)

    assert [method for method, _ in arrived] == ["append", "append_dead_letters", "append_dead_letters"]
    for _, one in arrived:
        assert stored_id(one) == "m2"
        assert not one.headers.keys() & {"x-redriven", "x-redriven-at"}
        assert one.headers["correlation_id"] == "c"
