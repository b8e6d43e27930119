"""The queue's core: the bounded part of it that is held in memory, ready for delivery. Synchronous, takes ``now``.

Order holds for each key: its next message is delivered when the one before is settled, or, by the queue's ``key_run``,
after it in the same call. All partitions of a queue that one actor owns share a window, so that a call carries many's.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import islice

from actors.mailbox.ageing import shorter_ttl_s
from actors.mailbox.lane import Entry, History, Verdict
from actors.mailbox.leases import Leases
from actors.mailbox.lineup import LineUp
from actors.mailbox.message import Delivery, Message, Outcome, reject
from actors.mailbox.retry import Cause, Decision, after_loss, after_outcome
from actors.mailbox.shelf import Shelf
from config.topology import Queue

_NEW = History()


class Window:
    """The messages of a queue in memory. Owns their state; each is waiting, in flight, deferred or gone.

    Invariants: no message is in flight twice; of a key at most one run is, which began as one call; what came in leaves
    only by a verdict or with its partition.

    Args:
        queue: whose.
        first_tag: of its deliveries, see ``Leases``.
    """

    def __init__(self, queue: Queue, first_tag: int = 1) -> None:
        self._queue = queue
        self._shelves: dict[int, Shelf] = {}
        self._line_up = LineUp(queue, self._shelves)
        self._leases = Leases(first_tag)
        self._suspect_tag = 0
        self._others_first = False
        self._consumer_up = True

    @property
    def ready(self) -> int:
        """Messages that could be delivered now, at least if none of them has just expired."""
        return self._line_up.in_turn + self.suspect_ready

    @property
    def suspect_ready(self) -> bool:
        """Whether the next batch would be a suspect's. One is under way at a time, and between two the others go."""
        others_go = self._others_first and self._line_up.in_turn > 0
        return self._line_up.has_suspects and not self._suspect_tag and not others_go

    @property
    def has_behind(self) -> bool:
        """Whether more wait than could go now with the first of their keys. While nothing is in flight; about."""
        waiting = sum(len(shelf.entries) for shelf in self._shelves.values() if not shelf.blocked)
        return waiting - self._line_up.deferred > self.ready * self._queue.key_run

    @property
    def room(self) -> int:
        """Messages that the next batch may carry."""
        return min(self._queue.batch, self._queue.prefetch - len(self._leases))

    @property
    def in_flight(self) -> int:
        """Messages with the consumer."""
        return len(self._leases)

    @property
    def size(self) -> int:
        """Messages in memory, those in flight included."""
        return sum(len(shelf.entries) for shelf in self._shelves.values())

    @property
    def bytes(self) -> int:
        """What they take, about."""
        return sum(shelf.bytes for shelf in self._shelves.values())

    @property
    def stands_still(self) -> bool:
        """Whether nothing can go though the consumer has room, but for suspects, who go one at a time."""
        return self.room > 0 and not self._line_up.in_turn

    def length(self, key: str) -> int:
        """Messages of a key in memory, about."""
        return self._line_up.length(key)

    def keys_by_tenant(self) -> Counter[str]:
        """How many keys of each tenant are in memory. Walks through all of them."""
        return self._line_up.keys_by_tenant()

    def shelf(self, partition: int) -> Shelf:
        """A partition's part. It must be open."""
        return self._shelves[partition]

    def knows(self, partition: int, seq: int) -> bool:
        """Whether a message is in the window."""
        shelf = self._shelves.get(partition)
        return shelf is not None and seq in shelf.entries

    def oldest_published_at(self) -> float | None:
        """Unix seconds of about the longest waiting message, or None if the window is empty."""
        times = [shelf.first.message.published_at for shelf in self._shelves.values() if shelf.first is not None]
        return min(times, default=None)

    def open(self, partition: int, clock_s: float, now: float) -> None:
        """Begin to hold a partition, with its age clock as it was left; blocked until ``set_blocked`` lets it go."""
        self._shelves[partition] = Shelf(clock_s)
        self._run_clock(self._shelves[partition], now)

    def close(self, partition: int, now: float) -> None:
        """Forget a partition and all of its messages. What is in flight cannot be settled any more."""
        shelf = self._shelves.pop(partition, None)
        if shelf is None:
            return
        for entry in shelf.entries.values():
            entry.gone = True
            if entry.tag:
                self._land(entry)
        self._line_up.closed(shelf, now)

    def set_blocked(self, partition: int, *, blocked: bool, now: float) -> None:
        """Hold a partition's messages back, while its journal or its ownership is in doubt, or let them go."""
        shelf = self._shelves[partition]
        if shelf.blocked == blocked:
            return
        shelf.blocked = blocked
        self._run_clock(shelf, now)
        if not blocked:
            self._line_up.unpark(shelf, now)

    def hold_until(self, partition: int, until: float) -> None:
        """From then on, by the window's clock, the partition is blocked, should nobody say otherwise before."""
        self._shelves[partition].held_until = until

    def set_consumer_up(self, *, up: bool, now: float) -> None:
        """Without a consumer nothing ages."""
        self._consumer_up = up
        for shelf in self._shelves.values():
            self._run_clock(shelf, now)

    def offer(self, partition: int, seq: int, message: Message, now: float, history: History = _NEW) -> bool:
        """Take a message in, after what came before of its key.

        Returns:
            False if it is there already, or has just expired and nobody was told yet.
        """
        shelf = self._shelves[partition]
        if seq in shelf.entries or self._line_up.has_found(partition, seq):
            return False
        entry = Entry(partition, seq, message, history, self._line_up.lane_of(message.key))
        shelf.add(entry, history, shorter_ttl_s(message.ttl_ms, self._queue.ttl_ms), now)
        self._line_up.append(entry, history.clock_s, now)
        return True

    def take(self, now: float) -> list[Delivery]:
        """The next batch: a suspect alone, or of each tenant in turn. Empty if nothing is ready, or fits.

        Where there is room when every key has had its turn, more of them go along: it is nobody else's.
        """
        for partition in [one for one, shelf in self._shelves.items() if shelf.held_until <= now]:
            self.set_blocked(partition, blocked=True, now=now)
        room = self.room
        if room <= 0:
            return []
        while not (batch := self._take_once(room, now)) and self.ready:
            pass  # who stood there as a suspect was none any more, and has its turn now
        return batch

    def settle(self, tag: int, outcome: Outcome, now: float) -> Verdict | None:
        """What the consumer said of a delivery. None if that is not under way any more, or its lease has run out."""
        entry = self._land_in_time(tag, now)
        if entry is None:
            return None
        entry.suspect = False
        return self._count_try(entry, outcome, now)

    def lose(self, tag: int, reason: str, now: float, *, counts: bool = True) -> Verdict | None:
        """A delivery ended without an answer; the message comes back, alone.

        Args:
            tag: of the delivery.
            reason: for the operator.
            now: the window's clock.
            counts: False if it is known not to have reached the consumer.
        """
        entry = self._land_in_time(tag, now)
        if entry is None:
            return None
        if not counts:
            entry.attempts -= 1
            return self._apply(entry, Decision(None, 0.0, entry.retries), reason, now)
        return self._count_loss(entry, reason, now)

    def fail(self, tag: int, reason: str, now: float, *, alone: bool) -> Verdict | None:
        """The consumer raised, or answered nonsense.

        Which message of a batch is to blame nobody knows: they come back one by one, and nothing is counted. One that
        was alone has failed a try, where the queue allows tries, and is alone at the next one as well.
        """
        entry = self._land_in_time(tag, now)
        if entry is None:
            return None
        entry.suspect = True
        if not alone:
            return self._apply(entry, Decision(None, 0.0, entry.retries), reason, now)
        if self._queue.max_retries is None:
            return self._count_loss(entry, reason, now)
        return self._count_try(entry, reject(reason), now)

    def extend(self, tags: Iterable[int], lease_s: float, now: float) -> list[int]:
        """Let the leases of these deliveries end no earlier than so many seconds from now.

        Returns:
            The tags of those that are still under way.
        """
        return self._leases.extend(tags, now + lease_s, now)

    def leased_until(self, tags: Iterable[int]) -> float | None:
        """When the longest lease of these deliveries ends; None if none of them is under way."""
        return self._leases.longest(tags)

    def lapse(self, now: float) -> list[Verdict]:
        """End the deliveries whose lease has run out; the messages come back, each alone."""
        verdicts = []
        for entry in self._leases.lapsed(now):
            self._land(entry)
            verdicts.append(self._count_loss(entry, "its lease ran out", now))
        return verdicts

    def withdraw(self, partition: int, seq: int, cause: Cause, now: float) -> Verdict | None:
        """Take a message out that waits; None if it is not here or with the consumer."""
        shelf = self._shelves.get(partition)
        entry = None if shelf is None else shelf.entries.get(seq)
        if shelf is None or entry is None or entry.tag:
            return None
        shelf.discard(entry)
        self._line_up.withdrawn(entry, now)
        return Verdict(entry, cause, now, "")

    def advance(self, now: float) -> list[Verdict]:
        """Bring back what was deferred until now, and take out what has expired."""
        self._line_up.bring_back(now)
        over = self._line_up.found_expired()
        for shelf in self._shelves.values():
            for entry in shelf.expired(now):
                over.append(entry)
                self._line_up.withdrawn(entry, now)
        return [Verdict(entry, "expired", 0.0, "") for entry in over]

    def next_event(self, now: float) -> float | None:
        """When ``advance`` or ``lapse`` may have something to do next, or None. Never before now."""
        if self._line_up.has_found_expired:
            return now
        times = [shelf.next_expiry(now) for shelf in self._shelves.values() if shelf.has_expiries]
        times += [self._line_up.next_event, self._leases.next_end]
        earliest = min((at for at in times if at is not None), default=None)
        return None if earliest is None else max(now, earliest)

    def _take_once(self, room: int, now: float) -> list[Delivery]:
        batch = self._take_suspect(now)
        if not batch:
            self._others_first, lanes = False, []
            while len(batch) < room and (lane := self._line_up.next_in_turn(now)) is not None:
                lanes.append(lane)
                batch.append(self._deliver(lane.head, now))
            if self._queue.key_run > 1 and len(batch) < room:
                more = self._line_up.followers(lanes, self._queue.key_run, now)
                batch += [self._deliver(entry, now) for entry in islice(more, room - len(batch))]
        return batch or self._take_suspect(now)

    def _take_suspect(self, now: float) -> list[Delivery]:
        if not self.suspect_ready or (lane := self._line_up.next_suspect(now)) is None:
            return []
        delivery = self._deliver(lane.head, now)
        self._suspect_tag, self._others_first = delivery.tag, True
        return [delivery]

    def _count_try(self, entry: Entry, outcome: Outcome, now: float) -> Verdict:
        decision = after_outcome(self._queue, entry.retries, outcome)
        entry.retries = decision.retries
        return self._apply(entry, decision, outcome.reason, now)

    def _count_loss(self, entry: Entry, reason: str, now: float) -> Verdict:
        entry.lost += 1
        entry.suspect = True
        return self._apply(entry, after_loss(self._queue, entry.lost), reason, now)

    def _apply(self, entry: Entry, decision: Decision, reason: str, now: float) -> Verdict:
        lane, shelf = entry.lane, self._shelves[entry.partition]
        entry.not_before = now + decision.delay_s
        if decision.cause is not None:
            shelf.discard(entry)
        else:
            entry.deferred_s = lane.unaged_s(entry, shelf.clock.reading(now)) + decision.delay_s
            shelf.watch(entry, now)
        if not lane.busy:
            self._line_up.place(lane, now)
        return Verdict(entry, decision.cause, entry.not_before, reason)

    def _deliver(self, entry: Entry, now: float) -> Delivery:
        entry.lane.flying += 1
        entry.attempts += 1
        tag = self._leases.give(entry, now + self._queue.lease_s)
        redelivered = entry.attempts > 1 or entry.redelivered or entry.lost > 0
        return Delivery(
            entry.message, self._queue.name, entry.partition, entry.seq, tag, entry.attempts, redelivered, entry.retries
        )

    def _land_in_time(self, tag: int, now: float) -> Entry | None:
        entry = self._leases.held(tag, now)
        if entry is not None:
            self._land(entry)
        return entry

    def _land(self, entry: Entry) -> None:
        if entry.tag == self._suspect_tag:
            self._suspect_tag = 0
        entry.lane.flying -= 1
        self._leases.drop(entry)

    def _run_clock(self, shelf: Shelf, now: float) -> None:
        shelf.clock.set_running(running=self._consumer_up and not shelf.blocked, now=now)
