"""Publishing with a change: the message is a row in the shard's journal, in the transaction that makes the change.

There is no message without its change and no change without its message. The owner of the partition is told of the
row after the commit, and finds it by its sweep if nobody told it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actors.mailbox.exchange import Router
from actors.mailbox.message import Message, PublishedRow
from actors.mailbox.rows import columns
from config.topology import Topology, TopologyError
from kernel.sql import load_queries

_PUBLISH = load_queries(Path(__file__).with_name("queries.sql"))["publish_transactional"]


class TransactionalPublisher:
    """Implements ``Publisher`` of ``actors.shards.transaction``. Stateless but for its topology; one serves all."""

    def __init__(self, topology: Topology) -> None:
        self._router = Router(topology)

    async def publish(  # noqa: PLR0917 - the port's signature
        self,
        connection: Any,
        shard: int,
        tenant_id: str,
        exchange: str,
        routing_key: str,
        messages: Sequence[Message],
    ) -> Sequence[PublishedRow]:
        """Insert the messages into the journal of this shard, once for each queue that is bound.

        Args:
            connection: in whose transaction; asyncpg's ``fetch``.
            shard: the partition, for these queues are partitioned by shard.
            tenant_id: of the unit; a message under another tenant's name is refused. Empty for a system unit.
            exchange: where to publish.
            routing_key: for the bindings.
            messages: with ids given by the unit; an id that is there already has no effect.

        Returns:
            The new rows, for ``MailboxHandle.tell`` after the commit.

        Raises:
            UnroutableError: no queue takes it.
            TopologyError: a queue that takes it is not partitioned by shard.
            ValueError: a message bears another tenant's name.
        """
        if tenant_id and any(message.tenant != tenant_id for message in messages):
            raise ValueError("a unit of work publishes under its own tenant alone")
        queues = self._router.route(exchange, routing_key)
        misplaced = [queue.name for queue in queues if queue.partition_by != "shard"]
        if misplaced:
            raise TopologyError(tuple(f"queue {name}: published to with a change, so by shard" for name in misplaced))
        if not messages:
            return []
        arrays = columns(messages)
        by_id = {message.id: message for message in messages}
        published: list[PublishedRow] = []
        for queue in queues:
            rows = await connection.fetch(_PUBLISH, queue.name, shard, *arrays)
            published += [PublishedRow(queue.name, shard, row[1], by_id[row[0]]) for row in rows]
        return published
