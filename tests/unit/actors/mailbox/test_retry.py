"""What becomes of a message that a consumer could not handle."""

import pytest

from actors.mailbox.message import dead_letter, reject, retry_after
from actors.mailbox.retry import after_outcome
from config.topology import Binding, Queue

QUEUE = Queue(name="q", bindings=(Binding(exchange="x"),), dlx="dlx", max_retries=3)


def test_a_rejection_costs_a_try_and_the_last_one_makes_a_dead_letter() -> None:
    decisions = [after_outcome(QUEUE, retries, reject("no")) for retries in range(4)]

    assert [(one.cause, one.delay_s, one.retries) for one in decisions] == [
        (None, 1.0, 1),
        (None, 2.0, 2),
        (None, 4.0, 3),
        ("rejected", 0.0, 3),
    ]


def test_coming_again_later_costs_none() -> None:
    assert after_outcome(QUEUE, 3, retry_after(7.0, "away")) == (None, 7.0, 3)


@pytest.mark.parametrize(("asked_s", "delay_s"), [(0.5, 1.0), (1.2, 1.2)])
def test_a_consumer_may_ask_for_more_patience_than_the_queue_has(asked_s: float, delay_s: float) -> None:
    assert after_outcome(QUEUE, 0, reject("no", asked_s)).delay_s == delay_s


def test_what_no_other_try_would_help_is_a_dead_letter_at_once() -> None:
    assert after_outcome(QUEUE, 0, dead_letter("no")).cause == "rejected"


def test_a_queue_without_retries_makes_a_dead_letter_of_the_first_rejection() -> None:
    assert after_outcome(QUEUE.model_copy(update={"max_retries": None}), 0, reject("no")).cause == "rejected"


@pytest.mark.parametrize("asked_s", [1e12, 10**400, 8 * 86_400], ids=["year 33658", "no float", "a day more"])
def test_no_delay_is_longer_than_a_message_is_kept(asked_s: float) -> None:
    assert after_outcome(QUEUE, 0, retry_after(asked_s, "away")).delay_s == 7 * 86_400
    assert after_outcome(QUEUE, 0, reject("no", asked_s)).delay_s == 7 * 86_400
