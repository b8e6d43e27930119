"""Starts the mailbox actors."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from actors.detached import start_detached
from actors.mailbox.access import JournalAccess
from actors.mailbox.actor import MailboxActor
from actors.mailbox.consumer import ConsumerAddress
from actors.mailbox.errors import UnknownQueueError
from actors.mailbox.handle import NAMESPACE, actor_name
from actors.mailbox.relocation import apply_topology
from actors.redeploy import deployed_as, release_of, retire_changed
from config.topology import Topology

# Calls of one process to one actor that may be under way; a handle has far fewer.
_PENDING_CALLS = 64


def start_mailboxes(
    topology: Topology,
    access: JournalAccess,
    consumers: Mapping[str, ConsumerAddress],
    *,
    log_level: str = "INFO",
    timeout_s: float = 60.0,
    placement: Any = "DEFAULT",
) -> None:
    """Create the mailbox actors that are not there yet, and wait until they answer.

    Those that run with other settings or code hand their partitions over first, and are replaced.

    The journals' tables must be there. Where one database has them all, what waits is moved to where a changed topology
    has it; a queue that is not declared any more keeps its messages until it is. For the shards whoever starts them
    does that before. Call it where Ray is initialised, in synchronous code. The consumers need not
    be there yet: the actors ask until they are.

    Args:
        topology: which queues there are.
        access: how the actors reach their journals.
        consumers: by queue; a queue that is missing here only collects.
        log_level: of the actors' processes.
        timeout_s: for all of them together.
        placement: Ray's scheduling strategy for them, also when they are started again.

    Raises:
        ray.exceptions.RayError: an actor could not be created, or did not answer in time.
        TopologyChangeError: another program holds a partition of which messages are to be moved.
        UnknownQueueError: a consumer is given for what is no queue, or for a dead-letter queue, which has none.
    """
    sources = tuple(queue.name for queue in topology.sources())
    for name in consumers:
        if name not in sources:
            raise UnknownQueueError(name, sources)
    wanted, release = {}, release_of(Path(__file__).parent)
    for queue in topology.sources():
        dead, consumer = topology.dead_letter_queue(queue.name) or "", consumers.get(queue.name)
        given = (queue, dead, *access, consumer, log_level)
        for group in range(queue.groups):
            name = actor_name(queue.name, group)
            wanted[name] = (queue, dead, group, name, access, consumer, log_level, deployed_as(release, *given))
    retire_changed({name: one[-1] for name, one in wanted.items()}, NAMESPACE, family=_groups_of(topology))
    if not access.sharded:
        asyncio.run(apply_topology(topology, access.dsn, access.instance_id, keep_others=True))
    start_detached(
        MailboxActor, wanted, NAMESPACE, timeout_s=timeout_s, max_pending_calls=_PENDING_CALLS,
        scheduling_strategy=placement,
    )  # fmt: skip


def _groups_of(topology: Topology) -> str:
    """The names of these queues' actors, those among them that fewer partitions leave without work."""
    return "|".join(rf"{re.escape(actor_name(queue.name, 0)[:-1])}\d+" for queue in topology.sources()) or "(?!)"
