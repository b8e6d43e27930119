"""Publishing with a change: the message is a row in the shard's journal, in the transaction that makes the change.

There is no message without its change and no change without its message. The owner of the partition is told of the
row after the commit, and finds it by its sweep if nobody told it.
"""

import re
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from actors.mailbox.deaths import dead_letter
from actors.mailbox.exchange import Router, addressed
from actors.mailbox.limits import check, check_text
from actors.mailbox.message import Publication, PublishedRow
from actors.mailbox.redriven import never_redriven, stored_id
from actors.mailbox.rows import columns, stamp
from config.topology import Topology, TopologyError
from kernel.sql import load_queries

_QUERIES = load_queries(Path(__file__).with_name("queries.sql"))
_PUBLISH = re.sub(r"(?m)^--.*\n", "", _QUERIES["publish_transactional"])
_PARAMETER = re.compile(r"\$(\d+)")


class TransactionalPublisher:
    """Implements ``Publisher`` of ``actors.shards.transaction``. Stateless but for its topology; one serves all."""

    def __init__(self, topology: Topology) -> None:
        self._topology, self._router = topology, Router(topology)

    async def publish(
        self, connection: Any, shard: int, tenant_id: str, publication: Publication
    ) -> Sequence[PublishedRow]:
        """Insert the messages into the journal of this shard, once for each queue that is bound, in one statement.

        Args:
            connection: in whose transaction; asyncpg's ``fetch``.
            shard: the partition, for these queues are partitioned by shard.
            tenant_id: of the unit; a message under another tenant's name is refused. Empty for a system unit.
            publication: what is published, and where.

        Returns:
            The new rows, for ``MailboxHandle.tell`` after the commit.

        Raises:
            InvalidMessageError: the journal cannot hold one of them; none was written.
            UnroutableError: no queue takes it.
            TopologyError: a queue that takes it is not partitioned by shard.
            ValueError: a message bears another tenant's name.
        """
        exchange, routing_key, messages, statement, arguments = publication
        check_text("exchange", exchange)
        check_text("routing_key", routing_key)
        check(messages)
        if tenant_id and any(message.tenant != tenant_id for message in messages):
            raise ValueError("a unit of work publishes under its own tenant alone")
        queues, death = self._router.way(exchange, routing_key)
        misplaced = [queue.name for queue in queues if queue.partition_by != "shard"]
        if misplaced:
            raise TopologyError(tuple(f"queue {name}: published to with a change, so by shard" for name in misplaced))
        if not messages and not statement:
            return []
        messages = [addressed(never_redriven(message), exchange, routing_key) for message in messages]
        text = _publishing(statement, len(arguments))
        names = [queue.name for queue in queues]
        if death:
            names = [self._topology.dead_letter_queue(name) or "" for name in names]
            messages = [dead_letter(one, queues[0], "rejected", death, time.time()) for one in messages]
        given = shard, names, *columns(messages, None), [stamp(name) for name in names]
        rows = await connection.fetch(text, *arguments, *given)
        if death:
            return []  # its owner delivers nothing of it
        by_id = {stored_id(message): message for message in messages}
        return [PublishedRow(queue, shard, seq, by_id[stored]) for queue, stored, seq in rows]


@lru_cache(maxsize=1024)
def _publishing(statement: str, parameters: int) -> str:
    """A statement that has so many parameters of its own, with the publishing as its end."""
    end = _PARAMETER.sub(lambda found: f"${parameters + int(found[1])}", _PUBLISH)
    return f"{statement}, {end}" if statement else f"WITH {end}"
