"""The queue's core against a simple model, whatever happens in whatever order.

Nothing is lost, in flight twice or delivered after its expiry; each key keeps its order, paged or not; urgent keys go
first and no tenant waits longer than the weights of the others; nothing rests that could go; what comes late is
refused.
"""

from math import inf
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.mailbox.arrivals import Arrival, Arrivals, Bounds
from actors.mailbox.lane import History, Verdict
from actors.mailbox.message import Delivery, Message, ack, reject, retry_after
from actors.mailbox.window import Window
from tests.unit.actors.mailbox.queue_model import (
    BATCH,
    DELIVERY_LIMIT,
    ENOUGH,
    EPSILON,
    IN_MEMORY,
    KINDS,
    LATE_S,
    LEASE_S,
    MAX_RETRIES,
    PAGE,
    PARTITIONS,
    PREFETCH,
    QUEUE,
    TENANTS,
    TTL_S,
    Flight,
    Place,
    QueueModel,
    Record,
)  # fmt: skip


class QueueCore(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model = QueueModel()
        self.core = Window(QUEUE)
        self.seq = 0
        self.messages: dict[int, tuple[Message, float]] = {}
        bounds = Bounds(IN_MEMORY, 1_000_000)
        self.arrivals = {one: Arrivals(self.core, one, bounds, len(PARTITIONS), enough=ENOUGH) for one in PARTITIONS}
        for partition in PARTITIONS:
            self.core.open(partition, 0.0, 0.0)
            self.core.set_blocked(partition, blocked=False, now=0.0)

    # What happens

    @rule(partition=st.sampled_from(PARTITIONS), key=st.sampled_from("abc"), tenant=st.sampled_from(TENANTS),
          priority=st.sampled_from([0, 0, 1, 9]), ttl_ms=st.sampled_from([None, None, 500]))  # fmt: skip
    def arrives(self, partition: int, key: str, tenant: str, priority: int, ttl_ms: int | None) -> None:
        self.seq += 1
        message = Message(str(self.seq), f"{partition}{tenant}{key}", tenant, b"", {}, 0.0, priority, ttl_ms)
        ttl_s = TTL_S if ttl_ms is None else ttl_ms / 1000
        record = Record(
            (partition, self.seq), message.key, tenant, priority=priority, ttl_s=ttl_s, since=self.model.now
        )
        self.model.there[record.place] = record
        clock_s = self.core.shelf(partition).clock.reading(self.model.now)
        self.messages[self.seq] = message, clock_s
        self.arrivals[partition].arrive(self.seq, message, History(clock_s), self.model.now)
        record.in_memory = self.core.knows(partition, self.seq)
        assert not self.arrivals[partition].arrive(self.seq, message, History(clock_s), self.model.now)

    @rule(several=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(TENANTS), st.sampled_from([0, 1, 9])),
                           min_size=3, max_size=6))  # fmt: skip
    def several_arrive(self, several: list[tuple[str, str, int]]) -> None:
        for number, (key, tenant, priority) in enumerate(several):
            self.arrives(number % 2, key, tenant, priority, None)

    @rule()
    def is_delivered(self) -> None:
        model = self.model
        room = min(BATCH, PREFETCH - len(model.flying))
        heads = {one.place: one for one in model.heads()}
        regular = [one for one in heads.values() if not one.suspect]
        suspects = [one for one in heads.values() if one.suspect]
        suspect_goes = bool(suspects) and not model.suspect_flies
        suspect_goes &= not (model.others_first and regular)
        urgency = {one.key: model.urgency(one.key) for one in heads.values()}
        over = [one for one in model.there.values() if one.in_memory and one.expired and not model.is_flying(one)]
        unnoticed = bool(over)
        batch = self.core.take(model.now)
        model.met_over |= {one.place for one in model.there.values() if one.expired and not self.core.knows(*one.place)}
        if any(one.suspect for one in over):  # its key may still stand among the suspects
            self.something_is_delivered(batch, room, heads)
            return
        first = batch[: 1 if suspect_goes else min(room, len(regular))]
        taken = [heads.get((one.partition, one.seq)) for one in first]
        for record in taken:
            assert record is not None, "over, expired, in flight, held up, or not the first of its key"
            assert record is next(one for one in model.there.values() if one.key == record.key and
                                  (not one.expired or not one.in_memory))  # fmt: skip
        records = [one for one in taken if one is not None]
        following = [] if suspect_goes else model.followers(records, room - len(records))
        assert [(one.partition, one.seq) for one in batch[len(first) :]] == [one.place for one in following]
        for delivery, record in zip(batch, records + following, strict=True):
            assert delivery.tag not in model.flying
            assert delivery.tag not in model.old_tags
            model.flying[delivery.tag] = Flight(record, model.now + LEASE_S)
        if room > 0:
            model.others_first = suspect_goes
        assert len(records) == max(0, min(room, 1 if suspect_goes else len(regular))), "something rests that could go"
        assert all(one.suspect is suspect_goes for one in records)
        if unnoticed:  # what has expired and was not taken out may still cost a turn or make a key urgent
            model.forget_turns()
            return
        for ready, watched in ((suspects, model.suspects_watched), (regular, model.watched)):
            turns = [one for one in records if one in ready]
            model.is_fair(ready, turns, watched)
            model.is_urgent(ready, turns, urgency)

    def something_is_delivered(self, batch: list[Delivery], room: int, heads: dict[Place, Record]) -> None:
        """What is delivered may be, and something is if anything could; whose turn it was is not asked."""
        model = self.model
        could = room > 0 and any(not one.suspect or not model.suspect_flies for one in heads.values())
        assert bool(batch) is could, "something rests that could go"
        going = {one.key: one for one in heads.values()}
        for delivery in batch:
            record = model.there[delivery.partition, delivery.seq]
            assert record is going.get(record.key), "held up, or not the next of its key"
            assert not record.suspect or len(batch) == 1
            model.flying[delivery.tag] = Flight(record, model.now + LEASE_S)
            theirs = (one for one in model.there.values() if one.key == record.key and one.place > record.place)
            going[record.key] = next((one for one in theirs if one.in_memory), record)
        model.others_first = room > 0 and any(model.flying[one.tag].record.suspect for one in batch)
        model.forget_turns()

    @precondition(lambda self: self.model.flying)
    @rule(kind=st.sampled_from(KINDS), most=st.sampled_from([1, 1, 9]), lasts=st.booleans())
    def ends(self, kind: str, most: int, lasts: bool) -> None:
        for tag in sorted(self.model.flying, reverse=lasts)[:most]:
            self.one_ends(tag, kind)

    @rule(tenant=st.sampled_from(TENANTS), rounds=st.integers(1, 3))
    def consumer_raises_at_all_that_a_tenant_sends(self, tenant: str, rounds: int) -> None:
        for number, key in enumerate("aabbcc"):
            self.arrives(number % 2, key, tenant, 0, None)
        for _ in range(rounds):
            self.is_delivered()
            self.ends("raised", 9, lasts=False)

    def one_ends(self, tag: int, kind: str) -> None:
        record = self.model.flying[tag].record
        late = self.model.flying[tag].until <= self.model.now
        core, now = self.core, self.model.now
        verdict = {
            "ack": lambda: core.settle(tag, ack(), now),
            "later": lambda: core.settle(tag, retry_after(1.0, ""), now),
            "reject": lambda: core.settle(tag, reject(""), now),
            "lost": lambda: core.lose(tag, "", now),
            "unreached": lambda: core.lose(tag, "", now, counts=False),
            "raised": lambda: core.fail(tag, "", now, alone=False),
            "raised alone": lambda: core.fail(tag, "", now, alone=True),
        }[kind]()
        if late:
            assert verdict is None, "its lease has run out"
            return
        cause = "acknowledged" if kind == "ack" else None
        if kind in {"reject", "raised alone"}:
            cause = "rejected" if record.retries == MAX_RETRIES else None
            record.retries += cause is None
        if kind in {"ack", "later", "reject"}:
            record.suspect = False
        self.came(verdict, tag, cause, lost=kind == "lost", suspect=kind.startswith("raised"))

    def came(self, verdict: Verdict | None, tag: int, cause: str | None, *, lost: bool, suspect: bool = False) -> None:
        record = self.model.flying.pop(tag).record
        self.model.old_tags.append(tag)
        assert verdict is not None
        assert (verdict.entry.partition, verdict.entry.seq) == record.place
        record.lost += lost
        record.suspect |= lost or suspect
        assert verdict.cause == ("delivery_limit" if record.lost == DELIVERY_LIMIT else cause)
        if verdict.cause is not None:
            self.is_over(record)
            return
        record.not_before = verdict.not_before
        record.deferred_s = record.unaged_s + max(0.0, verdict.not_before - self.model.now)
        self.model.holds_up(record.key)

    def is_over(self, record: Record) -> None:
        self.model.over(record)
        if record.key not in self.model.deferred:
            self.model.holds_up(record.key)
        self.arrivals[record.place[0]].settled(record.place[1], self.model.now)

    @precondition(lambda self: self.model.old_tags)
    @rule(data=st.data())
    def is_answered_late(self, data: Any) -> None:
        tag = data.draw(st.sampled_from(self.model.old_tags))
        assert self.core.settle(tag, ack(), self.model.now) is None
        assert self.core.extend([tag], 5.0, self.model.now) == []

    @precondition(lambda self: self.model.flying)
    @rule(data=st.data(), lease_s=st.sampled_from([1.0, 30.0]))
    def is_extended(self, data: Any, lease_s: float) -> None:
        tag = data.draw(st.sampled_from(sorted(self.model.flying)))
        record, until = self.model.flying[tag]
        held = self.core.extend([tag, -1], lease_s, self.model.now)
        assert held == ([tag] if until > self.model.now else [])
        if held:
            self.model.flying[tag] = Flight(record, max(until, self.model.now + lease_s))

    @rule(seconds=st.sampled_from([0.01, 0.6, 2.0, 20.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        end = self.model.now + seconds
        self.is_noticed()
        while (event := self.core.next_event(self.model.now)) is not None and event < end:
            self.model.elapse(max(event - self.model.now, EPSILON / 1000))
            self.is_noticed()
        self.model.elapse(max(0.0, end - self.model.now))
        self.is_noticed()

    @rule(seconds=st.sampled_from([0.6, 12.0]))
    def time_passes_unnoticed(self, seconds: float) -> None:
        self.model.elapse(seconds)
        for tag, flight in self.model.flying.items():
            assert flight.until > self.model.now or self.core.settle(tag, ack(), self.model.now) is None

    def is_noticed(self) -> None:
        model = self.model
        tags = {flight.record.place: tag for tag, flight in model.flying.items() if flight.until <= model.now}
        lapsed = {(one.entry.partition, one.entry.seq): one for one in self.core.lapse(model.now)}
        assert lapsed.keys() == tags.keys()
        for place, verdict in lapsed.items():
            self.came(verdict, tags[place], None, lost=True)
        model.deferred = {key: until for key, until in model.deferred.items() if until > model.now}
        for verdict in self.core.advance(model.now):
            record = model.there[verdict.entry.partition, verdict.entry.seq]
            assert verdict.cause == "expired"
            assert not model.is_flying(record)
            assert record.expired, "before its time"
            if record is next(one for one in model.there.values() if one.key == record.key and one.in_memory):
                model.deferred.pop(record.key, None)  # it was what held its key up
            self.is_over(record)
        for one in model.there.values():
            if one.in_memory and model.up and one.place[0] not in model.blocked:
                assert model.is_flying(one) or one.age_s <= one.ttl_s + LATE_S + EPSILON, "not expired in time"

    @rule(partition=st.sampled_from(PARTITIONS))
    def is_blocked_or_not(self, partition: int) -> None:
        self.is_noticed()
        self.model.blocked ^= {partition}
        self.core.set_blocked(partition, blocked=partition in self.model.blocked, now=self.model.now)

    @rule()
    def consumer_goes_or_comes(self) -> None:
        self.model.up = not self.model.up
        self.core.set_consumer_up(up=self.model.up, now=self.model.now)

    @rule(partition=st.sampled_from(PARTITIONS))
    def owner_changes(self, partition: int) -> None:
        model, core = self.model, self.core
        clock_s = core.shelf(partition).clock.reading(model.now)
        core.close(partition, model.now)
        gone = [tag for tag, flight in model.flying.items() if flight.record.place[0] == partition]
        model.old_tags += gone
        model.flying = {tag: flight for tag, flight in model.flying.items() if tag not in gone}
        theirs = [one for one in model.there.values() if one.place[0] == partition]
        for one in theirs:
            one.in_memory = False
            one.age_s = clock_s - self.messages[one.place[1]][1] - one.deferred_s
            one.suspect = one.lost > 0
            model.deferred.pop(one.key, None)
        core.open(partition, clock_s, model.now)
        core.set_blocked(partition, blocked=False, now=model.now)
        model.blocked -= {partition}
        self.arrivals[partition].begin(min((one.place[1] for one in theirs), default=self.seq + 1), self.seq)

    @rule(partition=st.sampled_from(PARTITIONS), meanwhile=st.booleans())
    def is_paged(self, partition: int, meanwhile: bool) -> None:
        arrivals = self.arrivals[partition]
        if not arrivals.page_wanted:
            return
        from_seq = arrivals.begin_page()
        page = [self.row(one) for one in self.model.there.values() if one.place[0] == partition and
                one.place[1] >= from_seq][:PAGE]  # fmt: skip
        if meanwhile:
            self.arrives(partition, "a", "light", 0, None)
        last_seq = page[-1][0] if len(page) == PAGE else None
        arrivals.end_page(page, last_seq=last_seq, now=self.model.now)
        self.are_in_memory(partition)

    @rule(partition=st.sampled_from(PARTITIONS), most=st.integers(1, PAGE), cut=st.integers(0, 2), late=st.booleans())
    def come_back(self, partition: int, most: int, cut: int, late: bool) -> None:
        """As many as were asked for, but for some that did not fit into the answer."""
        arrivals = self.arrivals[partition]
        returning = arrivals.begin_return(most, self.model.now)
        seqs = sorted(seq for one in returning for seq in one.seqs)
        if not seqs:
            return
        assert len(seqs) <= most
        if late:
            self.arrives(partition, "a", "light", 0, None)
        read_to = seqs[max(0, len(seqs) - 1 - cut)]
        rows = [self.row(one) for seq in seqs if seq <= read_to and (one := self.model.there.get((partition, seq)))]
        arrivals.end_return(returning, rows, read_to, self.model.now)
        self.are_in_memory(partition)

    def are_in_memory(self, partition: int) -> None:
        for one in self.model.there.values():
            if one.place[0] == partition and not one.in_memory and self.core.knows(*one.place):
                one.in_memory, waited_s = True, max(0.0, self.core.shelf(partition).clock.reading(self.model.now)
                                                    - self.messages[one.place[1]][1])  # fmt: skip
                one.since = self.model.now - waited_s
                to_come_s = min(one.deferred_s, max(0.0, one.not_before - self.model.now))
                one.unaged_s, one.age_s = one.deferred_s - to_come_s, one.age_s + to_come_s
                if one.key not in self.model.deferred:
                    self.model.holds_up(one.key)

    def row(self, one: Record) -> Arrival:
        message, clock_s = self.messages[one.place[1]]
        return one.place[1], message, History(clock_s, one.retries, one.lost, one.not_before, one.deferred_s, True)

    # What always holds

    @invariant()
    def holds_what_is_there(self) -> None:
        model = self.model
        assert self.core.in_flight == len(model.flying)
        for flight in model.flying.values():
            assert self.core.knows(*flight.record.place)
        for one in model.there.values():
            assert self.core.knows(*one.place) == one.in_memory or one.expired
        for partition, arrivals in self.arrivals.items():
            paged_out = [one for one in model.there.values() if one.place[0] == partition and not one.in_memory]
            assert all(one.place[1] >= (arrivals.unread_from or inf) for one in paged_out), "nobody would ever read it"
            # The reserve, the share of the other partition, a page, and one that came meanwhile.
            assert self.core.size <= 1.25 * IN_MEMORY + IN_MEMORY / 2 + PAGE + 1

    def teardown(self) -> None:
        """Left alone with a consumer that acknowledges, it comes to an end."""
        if not self.model.up:
            self.consumer_goes_or_comes()
        for partition in sorted(self.model.blocked):
            self.is_blocked_or_not(partition)
        for _ in range(4 * len(self.model.there) + 20):
            self.time_passes(40.0)
            for partition in PARTITIONS:
                self.is_paged(partition, meanwhile=False)
                self.come_back(partition, PAGE, 0, late=False)
            self.is_delivered()
            for tag in list(self.model.flying):
                self.came(self.core.settle(tag, ack(), self.model.now), tag, "acknowledged", lost=False)
        assert not self.model.there
        assert (self.core.size, self.core.in_flight, self.core.ready) == (0, 0, 0)


QueueCore.TestCase.settings = settings(max_examples=250, stateful_step_count=50, deadline=None)
TestQueueCore = QueueCore.TestCase
