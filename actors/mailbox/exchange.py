"""Routing: from exchange and routing key to queues, and from a message to its partition. Pure."""

import hashlib
from functools import lru_cache
from typing import NamedTuple

from actors.mailbox.errors import UnroutableError
from actors.mailbox.message import Message
from config.topology import Queue, Topology
from config.topology_rules import ERROR


class Way(NamedTuple):
    """The queues that take a message; or, with the cause of its death, the one whose dead-letter queue does."""

    queues: tuple[Queue, ...]
    death: str


# Headers that say where a message was published.
EXCHANGE, ROUTING_KEY = "x-exchange", "x-routing-key"


class Router:
    """Finds the queues of a routing key. Remembers what it found, for keys are few."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._found = lru_cache(maxsize=4096)(self._find)

    def route(self, exchange: str, routing_key: str) -> tuple[Queue, ...]:
        """The queues that a message goes to, each once, in the order of their declaration.

        Raises:
            UnroutableError: the exchange is not declared, or nothing is bound to it for this key.
        """
        queues = self._found(exchange, routing_key)
        if not queues:
            raise UnroutableError(exchange, routing_key)
        return queues

    def way(self, exchange: str, routing_key: str) -> "Way":
        """Where a message goes, be it that no queue takes it and the exchange says what is to become of it then.

        Raises:
            UnroutableError: the exchange is not declared, or it asks for an error.
        """
        queues = self._found(exchange, routing_key)
        if queues:
            return Way(queues, "")
        declared = self._topology.exchanges.get(exchange)
        if declared is None or declared.unroutable == ERROR:
            raise UnroutableError(exchange, routing_key)
        return Way((self._topology.queues[declared.unroutable],), f"unroutable: {exchange} {routing_key}")

    def _find(self, exchange: str, routing_key: str) -> tuple[Queue, ...]:
        declared = self._topology.exchanges.get(exchange)
        if declared is None:
            return ()
        return tuple(
            queue
            for queue in self._topology.queues.values()
            if any(
                binding.exchange == exchange and matches(declared.type, binding.routing_key, routing_key)
                for binding in queue.bindings
            )
        )


def addressed(message: Message, exchange: str, routing_key: str) -> Message:
    """The message with the exchange and the routing key in its headers, for whoever finds it as a dead letter."""
    headers = {**message.headers, EXCHANGE: exchange, ROUTING_KEY: routing_key}
    return Message._make((*message[:4], headers, *message[5:]))


def matches(exchange_type: str, pattern: str, routing_key: str) -> bool:
    """Whether a binding takes a routing key.

    Source:
        AMQP 0-9-1 section 3.1.3: words between dots; in a topic ``*`` is one word and ``#`` any number, none included.
    """
    if exchange_type == "fanout":
        return True
    if exchange_type == "direct":
        return pattern == routing_key
    return _words_match(tuple(pattern.split(".")), tuple(routing_key.split(".")))


def _words_match(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    # reachable[i]: the words so far can be taken by the first i words of the pattern. Linear for each word, where
    # trying every length of every '#' would be exponential.
    reachable = [True] + [False] * len(pattern)
    for position, part in enumerate(pattern):
        reachable[position + 1] = reachable[position] and part == "#"
    for word in words:
        following = [False] * (len(pattern) + 1)
        for position, part in enumerate(pattern):
            if part == "#":
                following[position + 1] = reachable[position + 1] or reachable[position] or following[position]
            else:
                following[position + 1] = reachable[position] and part in {"*", word}
        reachable = following
    return reachable[-1]


def partition_of(queue: Queue, message: Message) -> int:
    """The partition to which a publisher appends a message: by its key, or for a queue by shard by its tenant.

    What a unit of work publishes with its change goes to the partition of its shard instead, wherever its tenant
    has been moved to; both find the same consumer.
    """
    if queue.partitions == 1:
        return 0
    return partition_by_basis(message.key if queue.partition_by == "key" else message.tenant, queue.partitions)


def partition_by_basis(basis: str, partitions: int) -> int:
    """One of so many partitions, always the same for a key or tenant."""
    return int(hashlib.md5(basis.encode(), usedforsecurity=False).hexdigest(), 16) % partitions


def shard_of_partition(partition: int) -> int:
    """The shard in whose database a partition has its journal."""
    return partition % 32
