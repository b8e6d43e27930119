"""What must hold between exchanges and queues. Pure; each rule yields its faults, with the place and the remedy.

A part that could not be read itself stands as None: it is declared, but nothing more is known of it, and no second
fault is made of that.
"""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from config.marked_yaml import Fault

if TYPE_CHECKING:
    from config.topology import Binding, Exchange, Queue

SHARDS = 32
ERROR = "error"
# All that a dead-letter queue can be told: it keeps, and who reads it is an operator.
_OF_THE_DEAD = frozenset({"name", "bindings", "dlx", "partition_by", "partitions", "partitions_per_actor"})
_LONGEST = 255  # of names and routing keys, as in AMQP 0-9-1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")

Exchanges = Mapping[str, "Exchange | None"]
Queues = Mapping[str, "Queue | None"]


def faults_of(exchanges: Exchanges, queues: Queues) -> list[Fault]:
    """All faults, in the order of the declaration."""
    rules = _Rules(exchanges, queues)
    found = [fault for name in exchanges for fault in rules.of_exchange(name)]
    found += [fault for name in queues for fault in rules.of_queue(name)]
    return found + list(rules.cycles())


def bound_to(exchange: str, routing_key: str, exchanges: Exchanges, queues: Queues) -> list[str]:
    """The queues that an exchange, direct or fanout, leads to under a routing key."""
    declared = exchanges.get(exchange)
    return [
        name
        for name, queue in queues.items()
        if queue is not None
        and any(
            one.exchange == exchange
            and ((declared is not None and declared.type == "fanout") or one.routing_key == routing_key)
            for one in queue.bindings
        )
    ]


class _Rules:
    def __init__(self, exchanges: Exchanges, queues: Queues) -> None:
        self._exchanges, self._queues = exchanges, queues
        self._dead = {name: self._dead_letter_queue(name) for name in queues}
        self._sources: dict[str, list[str]] = {}
        for source, dead in self._dead.items():
            if dead is not None:
                self._sources.setdefault(dead, []).append(source)

    def of_exchange(self, name: str) -> Iterator[Fault]:
        """Faults of an exchange by itself and of where its unroutable messages go."""
        yield from _name_faults("exchanges", name)
        exchange = self._exchanges[name]
        if exchange is None or exchange.unroutable == ERROR:
            return
        path = ("exchanges", name, "unroutable")
        if exchange.unroutable not in self._queues:
            near = _near(exchange.unroutable, self._queues)
            yield Fault(path, f"queue {exchange.unroutable} is not declared; {near}, or write error")
        elif self._queues[exchange.unroutable] is not None and self._dead[exchange.unroutable] is None:
            yield Fault(
                path, f"queue {exchange.unroutable} has no dead-letter queue; name one that has, or write error"
            )

    def of_queue(self, name: str) -> Iterator[Fault]:
        """Faults of a queue: bindings, partitions, dead letters."""
        yield from _name_faults("queues", name)
        if name == ERROR:
            yield Fault(("queues", name), "this name means something else in unroutable; give the queue another")
        queue = self._queues[name]
        if queue is None:
            return
        twice = {one for one, times in Counter(queue.bindings).items() if times > 1}
        for position, binding in enumerate(queue.bindings):
            path = ("queues", name, "bindings", position)
            if binding in twice:
                yield Fault(path, "the same binding stands twice; remove one")
                twice.discard(binding)
            yield from self._binding_faults((*path, "exchange"), (*path, "routing_key"), binding)
        if queue.partition_by == "shard" and queue.partitions != SHARDS:
            yield Fault(
                ("queues", name, "partitions"),
                f"by shard there is a partition for each of {SHARDS} shards, not {queue.partitions};"
                f" write {SHARDS}, or partition_by: key",
            )
        yield from self._idle_faults(name, queue)
        yield from self._dead_letter_faults(name, queue)

    def cycles(self) -> Iterator[Fault]:
        """Dead-letter exchanges that lead in a circle, each once."""
        seen: set[str] = set()
        for start in self._queues:
            way: list[str] = []
            at: str | None = start
            while at is not None and at not in seen:
                seen.add(at)
                way.append(at)
                at = self._dead.get(at)
            if at is None or at not in way:
                continue
            circle = [*way[way.index(at) :], at]
            steps = [circle[0]]
            for source, dead in pairwise(circle):
                queue = self._queues[source]
                steps.append(f"-({queue.dlx if queue else '?'})-> {dead}")
            yield Fault(
                ("queues", circle[0], "dlx"),
                f"dead letters would go round without end: {' '.join(steps)}; remove the dlx of one of them",
            )

    def _binding_faults(
        self, at_exchange: tuple[str | int, ...], at_key: tuple[str | int, ...], binding: "Binding"
    ) -> Iterator[Fault]:
        if binding.exchange not in self._exchanges:
            yield Fault(
                at_exchange, f"exchange {binding.exchange} is not declared; {_near(binding.exchange, self._exchanges)}"
            )
            return
        exchange = self._exchanges[binding.exchange]
        if exchange is not None:
            fault = pattern_fault(exchange.type, binding.routing_key)
            if fault is not None:
                yield Fault(at_key, f"exchange {binding.exchange} is {exchange.type}: {fault}")

    def _idle_faults(self, name: str, queue: "Queue") -> Iterator[Fault]:
        """What was written and would do nothing."""
        sources = self._sources.get(name, [])
        if sources:
            for field in sorted(queue.model_fields_set - _OF_THE_DEAD):
                yield Fault(
                    ("queues", name, field),
                    f"does nothing in a dead-letter queue, which keeps what died in {sources[0]} until an operator puts"
                    f" it back or purges it; remove it, or set it in {sources[0]}",
                )
            return
        written = queue.model_fields_set
        if "priority_step_s" in written and not queue.priority:
            yield Fault(("queues", name, "priority_step_s"), "does nothing without priority; add priority: true")
        if "batch" in written and queue.batch > queue.prefetch:
            yield Fault(
                ("queues", name, "batch"),
                f"no more than prefetch, {queue.prefetch}, are in flight; write at most that, not {queue.batch}",
            )
        if queue.key_run > queue.batch:
            yield Fault(
                ("queues", name, "key_run"),
                f"a batch has {queue.batch} messages at most; write at most that, not {queue.key_run}",
            )
        if "patience_ms" in written and queue.batches_in_flight == 1:
            yield Fault(
                ("queues", name, "patience_ms"), "does nothing with one batch in flight; raise batches_in_flight"
            )
        yield from _busy_faults(name, queue)
        if "partitions_per_actor" in written and queue.partitions_per_actor > queue.partitions:
            yield Fault(
                ("queues", name, "partitions_per_actor"),
                f"there are no more than {queue.partitions} partitions; write at most that,"
                f" not {queue.partitions_per_actor}",
            )

        if queue.max_length < queue.groups:
            yield Fault(
                ("queues", name, "max_length" if "max_length" in written else "partitions"),
                f"each of the queue's {queue.groups} actors has its part of max_length, so that {queue.max_length} is"
                f" too little; write at least {queue.groups}, or raise partitions_per_actor",
            )

    def _dead_letter_faults(self, name: str, queue: "Queue") -> Iterator[Fault]:
        path = ("queues", name, "dlx")
        sources = self._sources.get(name, [])
        if len(sources) > 1:
            yield Fault(
                ("queues", name, "bindings"),
                f"takes the dead letters of {' and '.join(sources)}; give each of them a queue of its own",
            )
        if queue.dlx is None:
            return
        if queue.dlx not in self._exchanges:
            yield Fault(path, f"exchange {queue.dlx} is not declared; {_near(queue.dlx, self._exchanges)}")
            return
        exchange = self._exchanges[queue.dlx]
        if exchange is None:
            return
        if exchange.type == "topic":
            yield Fault(path, f"exchange {queue.dlx} is a topic; a dlx must be direct or fanout")
            return
        if sources and not self._in_circle(name):
            yield Fault(path, f"a dead-letter queue (of {sources[0]}) has no dlx of its own; remove it")
        yield from self._target_faults(name, queue)

    def _target_faults(self, name: str, queue: "Queue") -> Iterator[Fault]:
        assert queue.dlx is not None
        bound = bound_to(queue.dlx, name, self._exchanges, self._queues)
        if len(bound) != 1:
            found = ", ".join(bound) if bound else "none"
            if not bound and None in self._queues.values():
                return  # it may be one of those that could not be read
            remedy = f"bind one queue to {queue.dlx} with routing_key: {name}"
            yield Fault(
                ("queues", name, "dlx"),
                f"dlx {queue.dlx} must lead to one queue under its name, but leads to {found}; {remedy}",
            )
            return
        dead = self._queues[bound[0]]
        assert dead is not None
        for field in ("partition_by", "partitions", "partitions_per_actor"):
            ours, its = getattr(queue, field), getattr(dead, field)
            if ours != its:
                yield Fault(
                    ("queues", dead.name, field),
                    f"must be partitioned like {name}, whose dead letters it takes: write {field}: {ours}, not {its}",
                )

    def _dead_letter_queue(self, name: str) -> str | None:
        queue = self._queues[name]
        if queue is None or queue.dlx is None:
            return None
        bound = bound_to(queue.dlx, name, self._exchanges, self._queues)
        return bound[0] if len(bound) == 1 else None

    def _in_circle(self, name: str) -> bool:
        at, steps = self._dead.get(name), 0
        while at is not None and at != name and steps <= len(self._dead):
            at, steps = self._dead.get(at), steps + 1
        return at == name


def pattern_fault(exchange_type: str, pattern: str) -> str | None:
    """What is wrong with a binding's routing key for an exchange of this type, with the remedy; None if nothing is."""
    if len(pattern) > _LONGEST:
        return f"a routing key has at most {_LONGEST} characters"
    if exchange_type == "fanout":
        return f"it sends everything to everybody and compares no routing key; remove {pattern!r}" if pattern else None
    if not pattern:
        return "a binding needs a routing_key"
    words = pattern.split(".")
    if exchange_type == "topic":
        return _topic_fault(pattern, words)
    if {"*", "#"}.intersection(words):
        return f"it compares the whole key, so {pattern!r} matches nothing else; make it a topic, or write the key"
    return None


def _topic_fault(pattern: str, words: list[str]) -> str | None:
    if any(not word for word in words):
        return f"{pattern!r} has an empty word between dots; remove the dot"
    mixed = [word for word in words if len(word) > 1 and {"*", "#"}.intersection(word)]
    if mixed:
        return f"in {pattern!r} * and # stand for whole words, not for part of {mixed[0]!r}; put a dot between"
    return None


def _name_faults(kind: str, name: str) -> Iterator[Fault]:
    if len(name) > _LONGEST or _NAME.fullmatch(name) is None:
        yield Fault((kind, name), f"a name has 1 to {_LONGEST} letters, digits and . _ : - and begins with no sign")


def _busy_faults(name: str, queue: "Queue") -> Iterator[Fault]:
    written = "busy_linger_ms" in queue.model_fields_set
    if queue.busy_per_s is None:
        if written:
            yield Fault(
                ("queues", name, "busy_linger_ms"),
                "does nothing without busy_per_s; add busy_per_s, the rate from which on it counts",
            )
    elif queue.busy_linger_ms <= queue.linger_ms:
        yield Fault(
            ("queues", name, "busy_linger_ms" if written else "busy_per_s"),
            f"busy_linger_ms, {queue.busy_linger_ms}, keeps calls no further apart than linger_ms does, which is"
            f" {queue.linger_ms}; write a busy_linger_ms above that, or remove busy_per_s",
        )


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}?" if near else "declare it"
