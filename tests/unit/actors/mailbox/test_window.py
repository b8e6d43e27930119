"""The queue's core."""

from typing import Any

import pytest

from actors.mailbox.lane import History
from actors.mailbox.message import Delivery, Message, ack, reject, retry_after
from actors.mailbox.window import Window
from config.topology import Queue


def queue(**fields: Any) -> Queue:
    return Queue.model_validate({"name": "q", "bindings": [{"exchange": "x"}], **fields})


def window(**fields: Any) -> Window:
    made = Window(queue(**fields))
    made.open(0, 0.0, 0.0)
    made.set_blocked(0, blocked=False, now=0.0)
    return made


def message(message_id: str, key: str = "k", tenant: str = "t", **fields: Any) -> Message:
    return Message(message_id, key, tenant, b"", {}, 0.0, **fields)


def offer(to: Window, *messages: Message, now: float = 0.0, history: History | None = None) -> None:
    start = to.size + 1
    for seq, one in enumerate(messages, start=start):
        assert to.offer(0, seq, one, now, History() if history is None else history)


def ids(batch: list[Delivery]) -> list[str]:
    return [one.message.id for one in batch]


def test_a_key_goes_on_only_after_its_first_message_is_settled() -> None:
    core = window()
    offer(core, message("1", "a"), message("2", "a"), message("3", "b"))

    first = core.take(0.0)

    assert ids(first) == ["1", "3"]
    assert core.take(0.0) == []
    core.settle(first[0].tag, ack(), 0.0)
    assert ids(core.take(0.0)) == ["2"]


def test_a_deferred_message_holds_up_its_key_alone_until_its_time() -> None:
    core = window()
    offer(core, message("1", "a"), message("2", "a"))
    (first,) = core.take(0.0)

    verdict = core.settle(first.tag, retry_after(5.0, "later"), 0.0)
    offer(core, message("3", "b"))

    assert verdict is not None
    assert (verdict.cause, verdict.not_before) == (None, 5.0)
    assert ids(core.take(1.0)) == ["3"]
    assert core.next_event(1.0) == 5.0
    core.advance(5.0)
    (again,) = core.take(5.0)
    assert (again.message.id, again.attempt, again.redelivered) == ("1", 2, True)


@pytest.mark.parametrize(("key_run", "expected"), [(1, True), (2, False)])
def test_messages_that_cannot_go_along_with_the_first_of_their_keys_are_behind(key_run: int, *, expected: bool) -> None:
    core = window(key_run=key_run)
    offer(core, message("1", "a"), message("2", "b"), message("3", "c"))
    assert not core.has_behind

    for delivery in core.take(0.0):
        core.settle(delivery.tag, retry_after(5.0, "away"), 0.0)
    offer(core, message("4", "d"))
    assert not core.has_behind  # what is deferred goes with nobody

    core.open(1, 0.0, 0.0)  # blocked, as what it holds is
    core.offer(1, 1, message("x", "x"), 0.0)
    assert not core.has_behind

    offer(core, message("5", "d"))
    assert core.has_behind is expected


def test_tenants_take_turns_whatever_their_number_of_keys() -> None:
    core = window(batch=4)
    offer(core, *(message(f"a{n}", f"a{n}", "a") for n in range(100)), message("b", "b", "b"), message("c", "c", "c"))

    assert ids(core.take(0.0)) == ["a0", "b", "c", "a1"]


def test_within_a_tenant_the_higher_priority_goes_first_where_the_queue_says_so() -> None:
    low, high = message("low", "l", priority=1), message("high", "h", priority=9)
    for priority, expected in ((True, ["high", "low"]), (False, ["low", "high"])):
        core = window(priority=priority)
        offer(core, low, high)
        assert ids(core.take(0.0)) == expected


def test_what_was_lost_comes_back_alone_and_one_at_a_time() -> None:
    core = window()
    offer(core, message("1", "a"), message("2", "b"), message("3", "c"))
    batch = core.take(0.0)
    for delivery in batch[:2]:
        core.lose(delivery.tag, "gone", 0.0)
    core.settle(batch[2].tag, ack(), 0.0)
    core.advance(1.0)
    offer(core, message("4", "d"), now=1.0)

    suspect = core.take(1.0)

    assert ids(suspect) == ["1"]
    assert suspect[0].redelivered
    assert ids(core.take(1.0)) == ["4"]
    assert core.take(1.0) == []
    core.settle(suspect[0].tag, ack(), 1.0)
    assert ids(core.take(1.0)) == ["2"]


def test_a_delivery_lost_too_often_is_over() -> None:
    core = window(delivery_limit=2)
    offer(core, message("1"))
    causes = []
    for now in (0.0, 10.0):
        core.advance(now)
        verdict = core.lose(core.take(now)[0].tag, "gone", now)
        assert verdict is not None
        causes.append(verdict.cause)

    assert causes == [None, "delivery_limit"]
    assert core.size == 0


def test_what_did_not_reach_the_consumer_does_not_count() -> None:
    core = window(delivery_limit=1)
    offer(core, message("1"))

    core.lose(core.take(0.0)[0].tag, "unreached", 0.0, counts=False)

    (again,) = core.take(0.0)
    assert (again.attempt, again.redelivered) == (1, False)


@pytest.mark.parametrize(("max_retries", "tries"), [(None, 1), (0, 1), (3, 4)])
def test_a_rejected_message_has_the_tries_that_its_queue_allows(max_retries: int | None, tries: int) -> None:
    core = window(max_retries=max_retries)
    offer(core, message("1"))
    now, done = 0.0, 0
    while core.size:
        now += 1_000.0
        core.advance(now)
        core.settle(core.take(now)[0].tag, reject("no"), now)
        done += 1

    assert done == tries


def test_a_settlement_under_an_old_tag_is_refused() -> None:
    core = window()
    offer(core, message("1"))
    (old,) = core.take(0.0)
    core.lose(old.tag, "late", 0.0)

    assert core.settle(old.tag, ack(), 0.0) is None
    assert core.size == 1


def test_a_message_expires_in_time_wherever_it_stands() -> None:
    core = window(ttl_ms=10_000)
    offer(core, message("1", "a"), message("2", "a", ttl_ms=1_000), message("3", "a"))
    (first,) = core.take(0.0)

    assert core.next_event(0.0) == 1.0
    assert [one.entry.message.id for one in core.advance(1.0)] == ["2"]
    core.settle(first.tag, ack(), 1.0)
    assert ids(core.take(1.0)) == ["3"]


def test_what_is_in_flight_does_not_expire_until_it_is_back() -> None:
    core = window(ttl_ms=1_000)
    offer(core, message("1"))
    (first,) = core.take(0.0)

    assert core.advance(5.0) == []
    core.lose(first.tag, "gone", 5.0)
    assert [one.cause for one in core.advance(5.0)] == ["expired"]
    assert (core.size, core.ready) == (0, 0)


def test_nothing_ages_while_it_cannot_be_delivered() -> None:
    core = window(ttl_ms=1_000)
    offer(core, message("1", "a"), message("2", "a"))

    core.set_consumer_up(up=False, now=0.5)
    assert core.advance(100.0) == []
    assert core.next_event(100.0) is None
    core.set_consumer_up(up=True, now=100.0)
    core.set_blocked(0, blocked=True, now=100.1)
    assert core.advance(200.0) == []
    core.set_blocked(0, blocked=False, now=200.0)
    (first,) = core.take(200.0)
    core.settle(first.tag, retry_after(50.0, "limit"), 200.1)
    assert core.advance(249.0) == []
    assert core.advance(250.1) == []
    # 0.5 + 0.1 + 0.1 have passed.
    assert core.advance(250.35) == []
    assert len(core.advance(251.5)) == 2


def test_a_blocked_partition_is_passed_over_and_comes_back_in_order() -> None:
    core = window()
    core.open(1, 0.0, 0.0)
    core.set_blocked(1, blocked=False, now=0.0)
    core.set_blocked(0, blocked=True, now=0.0)
    core.offer(0, 1, message("1", "a"), 0.0)
    core.offer(1, 1, message("2", "b"), 0.0)
    core.offer(0, 2, message("3", "a"), 0.0)

    assert ids(core.take(0.0)) == ["2"]
    core.set_blocked(0, blocked=False, now=0.0)
    assert ids(core.take(0.0)) == ["1"]


def test_a_closed_partition_takes_its_messages_with_it_and_may_be_opened_again() -> None:
    core = window()
    offer(core, message("1", "a"), message("2", "a"), message("3", "b"))
    flying = core.take(0.0)

    core.close(0, 0.0)

    assert core.settle(flying[0].tag, ack(), 0.0) is None
    assert (core.size, core.in_flight, core.take(0.0)) == (0, 0, [])
    core.open(0, 0.0, 0.0)
    core.set_blocked(0, blocked=False, now=0.0)
    core.offer(0, 1, message("1", "a"), 0.0, History(redelivered=True))
    assert [one.redelivered for one in core.take(0.0)] == [True]


def test_a_message_that_waits_for_its_retry_still_does_so_under_a_new_owner() -> None:
    core = window()
    offer(core, message("1"), history=History(retries=1, lost=2, not_before=3.0, redelivered=True))

    assert core.take(0.0) == []
    core.advance(3.0)
    assert ids(core.take(3.0)) == ["1"]


def test_a_deferral_that_a_new_owner_finds_begun_counts_once() -> None:
    core = window()
    core.open(0, 1.0, 0.0)
    core.set_blocked(0, blocked=False, now=0.0)
    # It was a second old when it was put off for a minute, of which a second has passed since.
    offer(core, message("1", ttl_ms=10_000), history=History(clock_s=0.0, not_before=59.0, deferred_s=60.0))

    assert core.advance(59.0) == []
    assert core.advance(67.5) == []
    assert [one.cause for one in core.advance(69.5)] == ["expired"]


def test_what_is_noted_of_a_deferral_leaves_out_what_the_age_clock_did_not_count() -> None:
    core = window()
    offer(core, message("1", "a", ttl_ms=100_000))
    core.settle(core.take(0.0)[0].tag, retry_after(60.0, ""), 0.0)
    core.set_consumer_up(up=False, now=10.0)
    core.set_consumer_up(up=True, now=60.0)
    core.advance(60.0)

    verdict = core.settle(core.take(60.0)[0].tag, retry_after(5.0, ""), 60.0)

    assert verdict is not None
    assert verdict.entry.deferred_s == 15.0


def test_nothing_is_taken_of_a_partition_that_is_not_held_any_more() -> None:
    queue = Queue.model_validate({"name": "q", "bindings": [{"exchange": "x"}]})
    window = Window(queue)
    window.open(0, 0.0, 0.0)
    window.set_blocked(0, blocked=False, now=0.0)
    window.offer(0, 1, Message("m1", "k", "t", b"", {}, 0.0), 0.0)
    window.hold_until(0, 5.0)

    assert window.take(5.0) == []
    assert window.ready == 0

    window.hold_until(0, 10.0)
    window.set_blocked(0, blocked=False, now=6.0)
    assert [one.message.id for one in window.take(6.0)] == ["m1"]


def test_what_had_expired_when_its_turn_came_is_told_of_once_though_a_page_brings_it_again() -> None:
    core = window()
    offer(core, message("1", "a", ttl_ms=2_000))
    assert core.take(5.0) == []

    assert not core.offer(0, 1, message("1", "a", ttl_ms=2_000), 5.0, History(0.0))

    assert [one.entry.seq for one in core.advance(5.0)] == [1]
    assert (core.size, core.advance(20.0)) == (0, [])


def test_between_two_suspects_the_others_go() -> None:
    core = window()
    offer(core, *(message(f"a{n}", f"a{n}", "a") for n in range(10)))
    for delivery in core.take(0.0):
        core.lose(delivery.tag, "its consumer died", 0.0)
    core.advance(10.0)
    assert core.take(10.0)[0].message.id == "a0"
    offer(core, message("b", "b", "b"), now=10.0)

    assert ids(core.take(10.0)) == ["b"]


def test_suspects_take_turns_as_others_do() -> None:
    core = window(batch=100, priority=True, weights={"a": 2})
    for several in (
        [message(f"a{number}", f"a{number}", "a") for number in range(40)],
        [message("b1", "b1", "b"), message("c1", "c1", "c")],
        [message("c2", "c2", "c", priority=1), message("a!", "a!", "a", priority=1)],
    ):
        offer(core, *several)
        while core.ready > core.suspect_ready:
            for delivery in core.take(0.0):
                core.fail(delivery.tag, "it raised", 0.0, alone=False)

    going = []
    while batch := core.take(0.0):
        going.append(ids(batch))
        core.settle(batch[0].tag, ack(), 0.0)

    assert [len(one) for one in going] == [1] * 44
    order = [one for (one,) in going]
    assert order.index("b1") < 4, "a tenant's many keep no other waiting"
    assert order.index("c2") < order.index("c1"), "and the urgent go first"
    assert order.index("a!") < 4


def test_a_suspect_goes_alone_when_what_stood_before_it_in_line_has_expired() -> None:
    core = window(key_run=2)
    offer(core, message("1", "a", ttl_ms=2_000), message("2", "a"))
    first, second = core.take(0.0)
    core.settle(first.tag, retry_after(1.0, ""), 0.0)
    core.lose(second.tag, "its consumer died", 0.0)
    core.advance(2.0)
    offer(core, message("3", "b"), now=2.0)

    assert [one.entry.message.id for one in core.advance(10.0)] == ["1"]
    assert ids(core.take(10.0)) == ["2"]
    assert ids(core.take(10.0)) == ["3"]
