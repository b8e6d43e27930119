"""Where queues have their messages, and what has to move when their declaration has changed. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from actors.mailbox.exchange import partition_by_basis
from config.topology import Topology


class Layout(NamedTuple):
    """How a queue is partitioned."""

    partition_by: str
    partitions: int


class Moved(NamedTuple):
    """A queue whose messages may stand in other partitions than they belong to now."""

    queue: str
    before: Layout
    after: Layout

    def partition_of(self, key: str, tenant: str) -> int:
        """Where a message belongs now."""
        return partition_by_basis(key if self.after.partition_by == "key" else tenant, self.after.partitions)


class Changes(NamedTuple):
    """What differs between the last start and this one."""

    moved: tuple[Moved, ...]
    removed: Mapping[str, Layout]
    added: tuple[str, ...]


def layouts(topology: Topology) -> dict[str, Layout]:
    """Of every queue, dead-letter queues among them."""
    return {name: Layout(queue.partition_by, queue.partitions) for name, queue in topology.queues.items()}


def changes(before: Mapping[str, Layout], after: Mapping[str, Layout]) -> Changes:
    """Compare the layout that was kept with the one that is declared."""
    return Changes(
        tuple(Moved(name, before[name], one) for name, one in after.items() if name in before and before[name] != one),
        {name: one for name, one in before.items() if name not in after},
        tuple(name for name in after if name not in before),
    )


def left_behind(queue: str, partitions: Mapping[int, int], known: Iterable[str]) -> str:
    """Why a queue cannot be removed.

    Args:
        queue: that is not declared any more.
        partitions: messages that wait, by partition.
        known: queues that are declared now.
    """
    where = ", ".join(f"{number} in partition {partition}" for partition, number in sorted(partitions.items()))
    return (
        f"queue {queue} is not declared any more, but {sum(partitions.values())} messages wait in it ({where});"
        f" declare it again (declared are {', '.join(known)}), start, and wait until they are handled or purge them"
        f" with: spaza mailbox purge {queue} --waiting --all; then remove it"
    )
