"""The way to the mailboxes: publishing, telling, figures, and the start of the actors."""

from collections.abc import Mapping, Sequence
from typing import Any

from actors.mailbox.access import JournalAccess
from actors.mailbox.consumer import ConsumerAddress
from actors.mailbox.message import Message, PublishedRow
from config.topology import Topology

NAMESPACE = "spaza"


def actor_name(queue: str, group: int) -> str:
    """The Ray name of the actor that owns a group of a queue's partitions."""
    return f"mailbox:{queue}:{group}"


def start_mailboxes(topology: Topology, access: JournalAccess, consumers: Mapping[str, ConsumerAddress]) -> None:
    """Create the mailbox actors that are not there yet, and wait until they answer. Synchronous; once a node."""
    raise NotImplementedError


class MailboxHandle:
    """Publishes to the mailboxes. One for each process and event loop."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    async def publish(self, exchange: str, routing_key: str, messages: Sequence[Message], *, timeout_s: float) -> None:
        """Return when the messages are committed on every queue that is bound.

        Raises:
            UnroutableError: no queue takes them.
            JournalUnavailableError: not committed in time, or not known to be; publish again under the same ids.
            OverloadedError: too much waits already.
        """
        raise NotImplementedError

    async def dead_letter(self, queue: str, messages: Sequence[Message], reason: str, *, timeout_s: float) -> None:
        """Put messages straight into a queue's dead-letter queue; raises like ``publish``."""
        raise NotImplementedError

    async def tell(self, rows: Sequence[PublishedRow]) -> None:
        """Tell the owners of rows that were published with a change. Best effort: the sweep finds the rest."""
        raise NotImplementedError

    async def statistics(self) -> Mapping[str, Mapping[str, Any]]:
        """By queue: waiting, in_flight, oldest_age_s, dead_letters, counters, epochs, state."""
        raise NotImplementedError
