"""Messages of one key that go to the consumer together."""

from actors.mailbox.message import ack, retry_after
from tests.unit.actors.mailbox.test_window import ids, message, offer, window


def test_messages_of_a_key_go_together_where_nobody_else_needs_the_room() -> None:
    core = window(key_run=3, batch=6)
    offer(core, *(message(f"a{n}", "a", "a") for n in range(5)), message("b0", "b", "b"), message("b1", "b", "b"))

    batch = core.take(0.0)

    assert ids(batch) == ["a0", "b0", "a1", "b1", "a2"]
    assert core.take(0.0) == [], "a key goes on when all that went together are settled"
    for delivery in batch[:-1]:
        core.settle(delivery.tag, ack(), 0.0)
        assert core.take(0.0) == []
    core.settle(batch[-1].tag, ack(), 0.0)
    assert ids(core.take(0.0)) == ["a3", "a4"]


def test_messages_of_other_keys_go_before_more_of_one() -> None:
    core = window(key_run=3, batch=3)
    offer(core, *(message(f"a{n}", "a", "a") for n in range(3)), message("b", "b", "b"), message("c", "c", "c"))

    assert ids(core.take(0.0)) == ["a0", "b", "c"]


def test_of_what_went_together_the_first_that_comes_again_goes_before_those_after_it() -> None:
    core = window(key_run=4)
    offer(core, *(message(str(number)) for number in range(4)))
    batch = core.take(0.0)

    for delivery, outcome in zip(batch, [ack(), retry_after(5.0, ""), retry_after(5.0, ""), ack()], strict=True):
        core.settle(delivery.tag, outcome, 0.0)

    assert core.take(4.0) == []
    core.advance(5.0)
    assert ids(core.take(5.0)) == ["1", "2"]


def test_what_was_lost_together_comes_back_one_by_one_in_order() -> None:
    core = window(key_run=3)
    offer(core, *(message(str(number)) for number in range(4)))
    for delivery in core.take(0.0):
        core.lose(delivery.tag, "gone", 0.0)

    came, now = [], 0.0
    while core.size:
        now += 1.0
        core.advance(now)
        batch = core.take(now)
        came.append(ids(batch))
        for delivery in batch:
            core.settle(delivery.tag, ack(), now)

    assert came == [["0"], ["1"], ["2"], ["3"]]


def test_a_lease_that_ran_out_of_what_went_together_waits_for_the_others() -> None:
    core = window(key_run=2, lease_s=10.0)
    offer(core, message("1"), message("2"))
    first, second = core.take(0.0)
    core.extend([second.tag], 30.0, 5.0)

    core.lapse(10.0)
    core.advance(11.0)
    assert core.take(11.0) == []
    core.settle(second.tag, ack(), 12.0)

    assert ids(core.take(12.0)) == ["1"]
    assert core.settle(first.tag, ack(), 12.0) is None


def test_what_follows_a_suspect_that_has_expired_goes_in_its_turn() -> None:
    core = window(lease_s=1.0)
    offer(core, message("1", ttl_ms=500), message("other", "other"))
    core.take(0.0)
    core.lapse(1.0)
    assert [one.entry.message.id for one in core.advance(1.2)] == ["1"]

    core.offer(0, 9, message("2"), 5.0)

    assert core.ready == 2, "it stands in its own turn, and not where the suspect stood"
    core.take(5.0)
    assert ids(core.take(5.0)) == ["2"]
