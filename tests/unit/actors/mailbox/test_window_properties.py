"""The queue's core against a simple model, whatever happens in whatever order.

Nothing is lost, nothing is delivered twice at once, and each key keeps its order.
"""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.mailbox.message import Message, ack, reject, retry_after
from actors.mailbox.window import Verdict, Window
from config.topology import Queue

QUEUE = Queue.model_validate(
    {"name": "q", "bindings": [{"exchange": "x"}], "max_retries": 2, "delivery_limit": 3, "batch": 3, "ttl_ms": 20_000}
)
PARTITIONS = (0, 1)


class QueueCore(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.core = Window(QUEUE)
        self.seq = 0
        # The model: what waits, by partition and seq, in order; what flies, by tag; what is over.
        self.there: dict[tuple[int, int], Message] = {}
        self.flying: dict[int, tuple[int, int]] = {}
        self.blocked: set[int] = set()
        for partition in PARTITIONS:
            self.core.open(partition, 0.0, self.now)
            self.core.set_blocked(partition, blocked=False, now=self.now)

    @rule(partition=st.sampled_from(PARTITIONS), key=st.sampled_from("abc"), tenant=st.sampled_from("tu"),
          ttl=st.sampled_from([None, 500]))  # fmt: skip
    def arrives(self, partition: int, key: str, tenant: str, ttl: int | None) -> None:
        self.seq += 1
        message = Message(str(self.seq), f"{partition}{key}", tenant, b"", {}, 0.0, 0, ttl)
        assert self.core.offer(partition, self.seq, message, self.now)
        assert not self.core.offer(partition, self.seq, message, self.now)
        self.there[partition, self.seq] = message

    @rule()
    def is_delivered(self) -> None:
        batch = self.core.take(self.now)
        assert len(batch) <= QUEUE.batch
        for delivery in batch:
            place = (delivery.partition, delivery.seq)
            assert place in self.there, "delivered though it is over"
            assert place not in self.flying.values(), "in flight twice"
            assert delivery.partition not in self.blocked
            of_key = [at for at, one in self.there.items() if one.key == delivery.message.key]
            assert of_key[0] == place, "before an earlier one of its key"
            self.flying[delivery.tag] = place

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), outcome=st.sampled_from([ack(), retry_after(1.0, ""), reject("")]))
    def is_settled(self, data: Any, outcome: Any) -> None:
        tag = data.draw(st.sampled_from(sorted(self.flying)))
        self.came(self.core.settle(tag, outcome, self.now), self.flying.pop(tag), over=outcome.kind == "ack")
        assert self.core.settle(tag, ack(), self.now) is None

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), counts=st.booleans())
    def is_lost(self, data: Any, counts: bool) -> None:
        tag = data.draw(st.sampled_from(sorted(self.flying)))
        self.came(self.core.lose(tag, "", self.now, counts=counts), self.flying.pop(tag))

    def came(self, verdict: Verdict | None, place: tuple[int, int], *, over: bool = False) -> None:
        assert verdict is not None
        assert (verdict.entry.partition, verdict.entry.seq) == place
        assert not over or verdict.cause == "acknowledged"
        if verdict.cause is not None:
            del self.there[place]

    @rule(seconds=st.sampled_from([0.01, 0.6, 2.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for verdict in self.core.advance(self.now):
            place = (verdict.entry.partition, verdict.entry.seq)
            assert place not in self.flying.values(), "expired in flight"
            assert place[0] not in self.blocked, "aged though it could not be delivered"
            del self.there[place]

    @rule(partition=st.sampled_from(PARTITIONS))
    def is_blocked_or_not(self, partition: int) -> None:
        self.blocked ^= {partition}
        self.core.set_blocked(partition, blocked=partition in self.blocked, now=self.now)

    @rule(partition=st.sampled_from(PARTITIONS))
    def is_closed_and_opened_again(self, partition: int) -> None:
        self.core.close(partition, self.now)
        self.flying = {tag: place for tag, place in self.flying.items() if place[0] != partition}
        self.core.open(partition, 0.0, self.now)
        self.core.set_blocked(partition, blocked=False, now=self.now)
        self.blocked -= {partition}
        for (at, seq), message in self.there.items():
            if at == partition:
                self.core.offer(partition, seq, message, self.now)

    @invariant()
    def holds_what_is_there(self) -> None:
        assert self.core.size == len(self.there)
        assert self.core.in_flight == len(self.flying)
        assert all(self.core.knows(*place) for place in self.there)

    def teardown(self) -> None:
        """Left alone with a consumer that acknowledges, it comes to an end."""
        for partition in PARTITIONS:
            self.core.set_blocked(partition, blocked=False, now=self.now)
        for tag in list(self.flying):
            self.is_settled_for_good(tag)
        for _ in range(4 * len(self.there) + 4):
            self.now += 40.0
            for verdict in self.core.advance(self.now):
                del self.there[verdict.entry.partition, verdict.entry.seq]
            for delivery in self.core.take(self.now):
                self.flying[delivery.tag] = (delivery.partition, delivery.seq)
                self.is_settled_for_good(delivery.tag)
        assert not self.there
        assert (self.core.size, self.core.in_flight, self.core.ready) == (0, 0, 0)

    def is_settled_for_good(self, tag: int) -> None:
        assert self.core.settle(tag, ack(), self.now) is not None
        del self.there[self.flying.pop(tag)]


QueueCore.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestQueueCore = QueueCore.TestCase
