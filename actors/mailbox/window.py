"""The queue's core: the bounded part of it that is held in memory, ready for delivery. Synchronous, takes ``now``.

Order holds for each key: its next message is delivered when the one before is settled. All partitions of a queue that
one actor owns share a window, so that one call to the consumer carries messages of many.
"""

from collections import deque
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from actors.mailbox.ageing import shorter_ttl_s
from actors.mailbox.lane import Entry, History, KeyLane
from actors.mailbox.message import Delivery, Message, Outcome
from actors.mailbox.retry import Cause, after_loss, after_outcome
from actors.mailbox.shelf import Shelf
from actors.mailbox.turns import Turns
from config.topology import Queue

_NEW = History()


class Verdict(NamedTuple):
    """What became of a message, to be written to the journal.

    Attributes:
        cause: why it is settled; None if it will be tried again.
        not_before: when, by the window's clock.
        reason: free text of the consumer's.
    """

    entry: Entry
    cause: Cause | None
    not_before: float
    reason: str


class Window:
    """The messages of a queue in memory. Owns their state; each is waiting, in flight, deferred or gone.

    Invariants: no message is in flight twice; of a key at most one is; what came in leaves only by a verdict or with
    its partition.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._shelves: dict[int, Shelf] = {}
        self._lanes: dict[str, KeyLane] = {}
        self._turns = Turns(by_priority=queue.priority)
        # Keys whose first message was lost with its consumer: one at a time, in a call of its own.
        self._suspects: deque[KeyLane] = deque()
        self._suspect_tag = 0
        self._in_flight: dict[int, Entry] = {}
        self._deferred: list[tuple[float, int, Entry]] = []
        self._numbers = count(1)
        self._consumer_up = True

    @property
    def ready(self) -> int:
        """Messages that could be delivered now, at least if none of them has just expired."""
        return len(self._turns) + (1 if self._suspects and not self._suspect_tag else 0)

    @property
    def in_flight(self) -> int:
        """Messages with the consumer."""
        return len(self._in_flight)

    @property
    def size(self) -> int:
        """Messages in memory, those in flight included."""
        return sum(len(shelf.entries) for shelf in self._shelves.values())

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
        lanes: dict[int, KeyLane] = {}
        for lane in shelf.parked:
            lane.queued = False
        for entry in shelf.entries.values():
            entry.gone = True
            lanes[id(entry.lane)] = entry.lane
            if self._in_flight.pop(entry.tag, None) is not None:
                self._left_flight(entry)
        for lane in lanes.values():
            if lane.busy and lane.head.gone:
                lane.busy = False
                lane.thaw(shelf.clock.reading(now))
            if not lane.busy and not lane.queued:
                self._line_up(lane, now)

    def set_blocked(self, partition: int, *, blocked: bool, now: float) -> None:
        """Hold a partition's messages back, while its journal or its ownership is in doubt, or let them go."""
        shelf = self._shelves[partition]
        if shelf.blocked == blocked:
            return
        shelf.blocked = blocked
        self._run_clock(shelf, now)
        if not blocked:
            parked, shelf.parked = shelf.parked, []
            for lane in parked:
                lane.queued = False
                self._line_up(lane, now)

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
            False if it is there already.
        """
        shelf = self._shelves[partition]
        if seq in shelf.entries:
            return False
        lane = self._lanes.get(message.key)
        if lane is None:
            lane = self._lanes[message.key] = KeyLane(message.key)
        entry = Entry(partition, seq, message, history, lane)
        self._set_expiry(shelf, entry, now)
        shelf.entries[seq] = entry
        lane.entries.append(entry)
        if not lane.busy and not lane.queued:
            self._line_up(lane, now)
        return True

    def take(self, now: float) -> list[Delivery]:
        """The next batch: a suspect alone, else of each tenant in turn. Empty if nothing is ready."""
        for partition, shelf in self._shelves.items():
            if shelf.held_until <= now:
                self.set_blocked(partition, blocked=True, now=now)
        while self._suspects and not self._suspect_tag:
            lane = self._suspects.popleft()
            lane.queued = False
            if self._is_next(lane, now, suspect=True):
                delivery = self._deliver(lane)
                self._suspect_tag = delivery.tag
                return [delivery]
        batch: list[Delivery] = []
        while len(batch) < self._queue.batch:
            following = self._turns.next()
            if following is None:
                break
            if self._is_next(following, now, suspect=False):
                batch.append(self._deliver(following))
        return batch

    def settle(self, tag: int, outcome: Outcome, now: float) -> Verdict | None:
        """What the consumer said of a delivery. None if that delivery is not under way any more."""
        entry = self._in_flight.pop(tag, None)
        if entry is None:
            return None
        self._left_flight(entry)
        entry.suspect = False
        decision = after_outcome(self._queue, entry.retries, outcome)
        entry.retries = decision.retries
        return self._apply(entry, decision.cause, decision.delay_s, outcome.reason, now)

    def lose(self, tag: int, reason: str, now: float, *, counts: bool = True) -> Verdict | None:
        """A delivery ended without an answer; the message comes back, alone.

        Args:
            tag: of the delivery.
            reason: for the operator.
            now: the window's clock.
            counts: False if it is known not to have reached the consumer.
        """
        entry = self._in_flight.pop(tag, None)
        if entry is None:
            return None
        self._left_flight(entry)
        if not counts:
            entry.attempts -= 1
            return self._apply(entry, None, 0.0, reason, now)
        entry.lost += 1
        entry.suspect = True
        decision = after_loss(self._queue, entry.lost)
        return self._apply(entry, decision.cause, decision.delay_s, reason, now)

    def withdraw(self, partition: int, seq: int, cause: Cause, now: float) -> Verdict | None:
        """Take a message out that waits; None if it is not here or with the consumer."""
        shelf = self._shelves.get(partition)
        entry = None if shelf is None else shelf.entries.get(seq)
        if shelf is None or entry is None or entry.tag:
            return None
        entry.gone = True
        del shelf.entries[seq]
        lane = entry.lane
        if lane.busy and lane.head is entry:  # deferred, and its key with it
            self._thaw(entry, now)
            lane.busy = False
            self._line_up(lane, now)
        return Verdict(entry, cause, now, "")

    def advance(self, now: float) -> list[Verdict]:
        """Bring back what was deferred until now, and take out what has expired."""
        while self._deferred and self._deferred[0][0] <= now:
            entry = heappop(self._deferred)[2]
            if not entry.gone:
                self._thaw(entry, now)
                entry.lane.busy = False
                self._line_up(entry.lane, now)
        return [Verdict(entry, "expired", 0.0, "") for shelf in self._shelves.values() for entry in shelf.expired(now)]

    def next_event(self, now: float) -> float | None:
        """When ``advance`` has something to do next, or None. Never before now."""
        times = [shelf.next_expiry(now) for shelf in self._shelves.values() if shelf.has_expiries]
        if self._deferred:
            times.append(self._deferred[0][0])
        earliest = min((at for at in times if at is not None), default=None)
        return None if earliest is None else max(now, earliest)

    def _apply(self, entry: Entry, cause: Cause | None, delay_s: float, reason: str, now: float) -> Verdict:
        lane = entry.lane
        lane.busy = False
        entry.not_before = now + delay_s
        if cause is not None:
            entry.gone = True
            self._shelves[entry.partition].entries.pop(entry.seq, None)
        else:
            entry.deferred_s += delay_s
            self._shelves[entry.partition].watch(entry, now)
        self._line_up(lane, now)
        return Verdict(entry, cause, entry.not_before, reason)

    def _line_up(self, lane: KeyLane, now: float) -> None:
        """Put a key that is neither busy nor in line where its first message belongs."""
        if not lane.prune():
            if self._lanes.get(lane.key) is lane:
                del self._lanes[lane.key]
            return
        head = lane.head
        shelf = self._shelves[head.partition]
        if shelf.blocked:
            lane.queued = True
            shelf.parked.append(lane)
        elif head.not_before > now:
            lane.busy = True
            lane.freeze(shelf.clock.reading(now))
            heappush(self._deferred, (head.not_before, next(self._numbers), head))
        elif head.suspect:
            lane.queued = True
            self._suspects.append(lane)
        else:
            self._turns.add(lane)

    def _is_next(self, lane: KeyLane, now: float, *, suspect: bool) -> bool:
        """Whether a key that was in line may be delivered from there; if not, it is put where it belongs."""
        if lane.prune():
            head = lane.head
            blocked = self._shelves[head.partition].blocked
            if not blocked and head.suspect is suspect and head.not_before <= now:
                return True
        self._line_up(lane, now)
        return False

    def _deliver(self, lane: KeyLane) -> Delivery:
        entry = lane.head
        lane.busy = True
        entry.attempts += 1
        entry.tag = next(self._numbers)
        self._in_flight[entry.tag] = entry
        redelivered = entry.attempts > 1 or entry.history.redelivered or entry.lost > 0
        return Delivery(
            entry.message, self._queue.name, entry.partition, entry.seq, entry.tag, entry.attempts, redelivered
        )

    def _left_flight(self, entry: Entry) -> None:
        if entry.tag == self._suspect_tag:
            self._suspect_tag = 0
        entry.tag = 0

    def _thaw(self, entry: Entry, now: float) -> None:
        entry.lane.thaw(self._shelves[entry.partition].clock.reading(now))

    def _set_expiry(self, shelf: Shelf, entry: Entry, now: float) -> None:
        ttl_s = shorter_ttl_s(entry.message.ttl_ms, self._queue.ttl_ms)
        if ttl_s is None:
            return
        reading = shelf.clock.reading(now)
        since = entry.history.clock_s if entry.history.clock_s is not None else reading
        entry.expires = min(since, reading) + ttl_s + entry.history.deferred_s
        entry.frozen_before_s = entry.lane.frozen_s(reading)
        shelf.watch(entry, now)

    def _run_clock(self, shelf: Shelf, now: float) -> None:
        shelf.clock.set_running(running=self._consumer_up and not shelf.blocked, now=now)
