"""The mailboxes, for Spaza's own use and for any other program on Ray that has a PostgreSQL database.

Declare, publish, consume:

    import asyncio
    import os
    import ray
    from actors.mailbox import ActorConsumer, JournalAccess, MailboxHandle, Message, Topology, ack
    from actors.mailbox import set_up_journal, start_mailboxes

    class Kitchen:
        async def consume(self, batch):
            for delivery in batch:
                print("cooking", delivery.message.body.decode())
            return [ack() for _ in batch]

    async def order(mailboxes):
        await mailboxes.publish("shop", "order.new", [Message.new(b"two vetkoek", key="table 7")], timeout_s=5)
        while (await mailboxes.statistics())["orders"]["waiting"]:
            await asyncio.sleep(0.1)
        await mailboxes.stop()

    ray.init(namespace="spaza")
    set_up_journal(os.environ["DSN"])
    orders = {"bindings": [{"exchange": "shop", "routing_key": "order.*"}]}
    topology = Topology.model_validate({"exchanges": {"shop": {"type": "topic"}}, "queues": {"orders": orders}})
    kitchen = ray.remote(Kitchen).options(name="kitchen").remote()
    start_mailboxes(topology, JournalAccess.to(os.environ["DSN"]), {"orders": ActorConsumer("kitchen")})
    asyncio.run(order(MailboxHandle(topology)))

``publish`` returns when the message is committed to every queue that is bound; ``Message.new`` gives it an id, under
which it may be published again. The consumer answers ``ack``, ``retry_after`` or ``reject`` for each delivery, and may
see one again after a crash: ``delivery.redelivered`` says so. The mailbox actors are detached, in the namespace
``spaza``; ``stop`` lets them write what is settled and hand over, and the next run starts them anew. A changed topology
moves what waits. ``config/queues.yaml`` shows what a queue can be
given. The database's user owns the tables; it must be allowed to create roles, or find ``spaza_app`` and
``spaza_system`` there.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.mailbox.access import JournalAccess
    from actors.mailbox.consumer import ActorConsumer, ServeConsumer
    from actors.mailbox.handle import MailboxHandle
    from actors.mailbox.message import Delivery, Message, Outcome, ack, dead_letter, reject, retry_after
    from actors.mailbox.setup import set_up_journal
    from actors.mailbox.start import start_mailboxes
    from config.topology import Topology

__all__ = [
    "ActorConsumer",
    "Delivery",
    "JournalAccess",
    "MailboxHandle",
    "Message",
    "Outcome",
    "ServeConsumer",
    "Topology",
    "ack",
    "dead_letter",
    "reject",
    "retry_after",
    "set_up_journal",
    "start_mailboxes",
]

_HOMES = {
    "ActorConsumer": "actors.mailbox.consumer",
    "Delivery": "actors.mailbox.message",
    "JournalAccess": "actors.mailbox.access",
    "MailboxHandle": "actors.mailbox.handle",
    "Message": "actors.mailbox.message",
    "Outcome": "actors.mailbox.message",
    "ServeConsumer": "actors.mailbox.consumer",
    "Topology": "config.topology",
    "ack": "actors.mailbox.message",
    "dead_letter": "actors.mailbox.message",
    "reject": "actors.mailbox.message",
    "retry_after": "actors.mailbox.message",
    "set_up_journal": "actors.mailbox.setup",
    "start_mailboxes": "actors.mailbox.start",
}


def __getattr__(name: str) -> Any:
    # Not before they are wanted: the pure parts are imported where there is no Ray.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
