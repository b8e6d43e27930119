"""For which queues a consumer may be given."""

import pytest

from actors.mailbox.access import JournalAccess
from actors.mailbox.consumer import ActorConsumer
from actors.mailbox.errors import UnknownQueueError
from actors.mailbox.start import start_mailboxes
from config.topology import Topology

ORDERS = {"bindings": [{"exchange": "shop", "routing_key": "order.*"}], "dlx": "dead"}
DEAD = {"bindings": [{"exchange": "dead", "routing_key": "orders"}]}


@pytest.mark.parametrize("name", ["order", "dlq.orders"])
def test_a_consumer_for_what_is_no_queue_with_consumers_is_refused_before_anything_is_started(name: str) -> None:
    exchanges = {"shop": {"type": "topic"}, "dead": {"type": "direct"}}
    topology = Topology.model_validate({"exchanges": exchanges, "queues": {"orders": ORDERS, "dlq.orders": DEAD}})

    with pytest.raises(UnknownQueueError, match="the queues are orders"):
        start_mailboxes(topology, JournalAccess.to("postgresql:///nowhere"), {name: ActorConsumer("kitchen")})
