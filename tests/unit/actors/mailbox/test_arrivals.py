"""How much of what waits is in memory: one window for all partitions of an actor, of which each has its share."""

from actors.mailbox.arrivals import Arrivals, Bounds
from actors.mailbox.lane import History
from actors.mailbox.message import Message, ack
from actors.mailbox.shelf import EACH_BYTES
from actors.mailbox.window import Window
from config.topology import Queue

BOUND, SHARE = 10, 5
# As much as ten messages of no more than a byte, and two hundred each.
BYTES = BOUND * (EACH_BYTES + 200)
BUSY, QUIET = 0, 1
QUEUE = Queue.model_validate({"name": "q", "bindings": [{"exchange": "x"}]})


class Desk:
    def __init__(self) -> None:
        self.window = Window(QUEUE)
        self.arrivals = {number: Arrivals(self.window, number, Bounds(BOUND, BYTES), 2) for number in (BUSY, QUIET)}
        self.seq = 0
        for number in self.arrivals:
            self.window.open(number, 0.0, 0.0)
            self.window.set_blocked(number, blocked=False, now=0.0)

    def come(self, partition: int, many: int, *, size_bytes: int = 1) -> int:
        """Messages with a key each; returns how many were taken in."""
        taken = 0
        for _ in range(many):
            self.seq += 1
            message = Message(str(self.seq), f"key {self.seq}", "tenant", bytes(size_bytes), {}, 0.0)
            taken += self.arrivals[partition].arrive(self.seq, message, History(), 0.0)
        return taken

    def handle(self, many: int) -> None:
        for delivery in self.window.take(0.0)[:many]:
            self.window.settle(delivery.tag, ack(), 0.0)


def test_one_partition_may_fill_the_window_while_the_others_are_empty() -> None:
    desk = Desk()

    assert desk.come(BUSY, 30) == BOUND
    assert desk.arrivals[BUSY].paging


def test_a_partition_has_its_share_of_a_window_that_another_has_filled() -> None:
    desk = Desk()
    desk.come(BUSY, 30)

    assert desk.come(QUIET, 7) == SHARE
    assert desk.arrivals[QUIET].paging


def test_a_page_is_wanted_when_half_of_the_window_or_half_of_the_share_is_free() -> None:
    desk = Desk()
    desk.come(BUSY, 30)
    assert not desk.arrivals[BUSY].page_wanted

    desk.handle(BOUND // 2 + 1)
    assert desk.arrivals[BUSY].page_wanted

    desk = Desk()
    desk.come(QUIET, SHARE)
    desk.come(BUSY, 30)
    desk.come(QUIET, 1)
    assert not desk.arrivals[QUIET].page_wanted
    desk.handle(3)  # of the first that came
    assert desk.arrivals[QUIET].page_wanted


def test_a_few_large_messages_fill_the_window_as_many_small_ones_do() -> None:
    desk = Desk()

    assert desk.come(BUSY, 30, size_bytes=3_000) == 4
    assert desk.come(QUIET, 30, size_bytes=200) == SHARE
