"""What the window still refers to: nothing that has gone, however long something holds its key or its queue up."""

import gc
import tracemalloc
from typing import Any

import pytest

from actors.mailbox.lane import Entry, History
from actors.mailbox.message import Message, ack, retry_after
from actors.mailbox.shelf import EACH_BYTES
from actors.mailbox.window import Window
from config.topology import Queue

BODY, COUNT = b"x" * 600, 5_000


def window(**fields: Any) -> Window:
    made = Window(Queue.model_validate({"name": "q", "bindings": [{"exchange": "x"}], **fields}))
    made.open(0, 0.0, 0.0)
    made.set_blocked(0, blocked=False, now=0.0)
    return made


def offer(core: Window, seq: int, key: str, now: float = 0.0) -> None:
    core.offer(0, seq, Message(str(seq), key, "t", BODY, {}, 0.0), now)


def kept() -> int:
    """Messages that are referred to from anywhere in this process."""
    gc.collect()
    return sum(isinstance(one, Entry) and one.message.body is BODY for one in gc.get_objects())


def test_a_message_that_is_deferred_again_and_again_is_watched_for_its_expiry_once() -> None:
    core = window(ttl_ms=300_000)
    for seq in range(1, 51):
        offer(core, seq, f"k{seq}")
    for tried in range(200):
        for delivery in core.take(tried * 5.0):
            core.settle(delivery.tag, retry_after(5.0, "away"), tried * 5.0)
        core.advance(tried * 5.0 + 5.0)

    assert len(core.shelf(0)._expiries) == core.size == 50


def test_what_expires_behind_a_message_that_is_held_is_let_go_of() -> None:
    core = window(ttl_ms=1_000, lease_s=3_600)
    offer(core, 1, "k")
    core.take(0.0)
    for seq in range(2, 2_002):
        offer(core, seq, "k", now=seq * 1.5)
        core.advance(seq * 1.5)

    assert core.size <= 2
    assert kept() < 100


def test_what_is_purged_while_a_queue_is_paused_is_let_go_of() -> None:
    core = window()
    core.set_blocked(0, blocked=True, now=0.0)
    for seq in range(1, 2_001):
        offer(core, seq, "k")
    for seq in range(1, 2_001):
        core.withdraw(0, seq, "purged", 0.0)

    assert core.size == 0
    assert kept() < 100
    core.set_blocked(0, blocked=False, now=0.0)
    offer(core, 3_000, "k")
    assert [delivery.seq for delivery in core.take(0.0)] == [3_000]


def test_of_many_keys_that_are_purged_while_a_queue_is_paused_none_is_kept() -> None:
    core = window()
    core.set_blocked(0, blocked=True, now=0.0)
    for seq in range(1, 2_001):
        offer(core, seq, f"k{seq}")
        core.withdraw(0, seq, "purged", 0.0)

    assert kept() < 100
    assert not core._line_up._lanes
    assert not core.shelf(0).parked


def test_a_key_of_two_partitions_goes_on_when_the_one_that_parked_it_is_closed() -> None:
    # Given a key that stands first in a paused partition, and then in another
    core = window()
    core.open(1, 0.0, 0.0)
    core.set_blocked(0, blocked=True, now=0.0)
    core.set_blocked(1, blocked=False, now=0.0)
    offer(core, 1, "k")
    core.offer(1, 2, Message("2", "k", "t", BODY, {}, 0.0), 0.0)
    core.withdraw(0, 1, "purged", 0.0)

    # When the paused one is given up
    core.close(0, 0.0)

    # Then the other's message goes
    assert [(delivery.partition, delivery.seq) for delivery in core.take(0.0)] == [(1, 2)]


def test_what_was_handled_in_time_is_not_kept_until_it_would_have_expired() -> None:
    core = window(ttl_ms=300_000)
    for seq in range(1, 5_001):
        offer(core, seq, f"k{seq}")
        for delivery in core.take(0.0):
            core.settle(delivery.tag, ack(), 0.0)

    assert kept() == 0
    assert len(core.shelf(0)._expiries) <= 1_001


def test_the_window_weighs_what_it_holds_and_not_bodies_alone() -> None:
    core = window()
    offer(core, 1, "a")
    core.offer(0, 2, Message("2", "b", "t", BODY, {"correlation_id": "c", "x-exchange": "x"}, 0.0), 0.0)
    assert core.bytes == 2 * (len(BODY) + EACH_BYTES) + 300

    for delivery in core.take(0.0):
        core.settle(delivery.tag, ack(), 0.0)
    assert core.bytes == 0


@pytest.mark.parametrize("keys", [1_000, COUNT])
def test_a_message_takes_no_more_than_it_is_weighed_at(keys: int) -> None:
    core = window()
    tracemalloc.start()
    try:
        for seq in range(COUNT):
            headers = {"correlation_id": f"{seq:032x}", "traceparent": f"00-{seq:032x}-{seq:016x}-01"}
            key, body = f"100000000000001:2782{seq % keys:07}", BODY + str(seq).encode()
            message = Message(f"wamid.{seq:058}", key, str(10**14 + seq % 50), body, headers, seq / 7)
            core.offer(0, seq, message, 0.0, History(seq / 3))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert core.size == COUNT
    assert 0.6 * core.bytes < held < core.bytes


def test_a_deferred_message_that_is_purged_lets_its_key_go_on() -> None:
    core = window()
    for seq in range(1, 101):
        offer(core, seq, "k")
    (first,) = core.take(0.0)
    core.settle(first.tag, retry_after(3_600.0, "later"), 0.0)
    for seq in range(2, 100):
        core.withdraw(0, seq, "purged", 0.0)

    core.withdraw(0, 1, "purged", 0.0)

    assert [delivery.seq for delivery in core.take(0.0)] == [100]
