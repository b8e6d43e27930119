"""The outcomes of a batch in which keys have several messages."""

from actors.mailbox.message import Delivery, Message, ack, retry_after
from services.ledger import Ledger


def batch(*keys: str) -> list[Delivery]:
    messages = [Message(str(place), key, "t", b"", {}, 0.0) for place, key in enumerate(keys)]
    return [Delivery(message, "q", 0, place, place, 1, False, 0) for place, message in enumerate(messages)]


def test_what_follows_one_of_its_key_that_comes_again_does_too_and_after_the_same_time() -> None:
    ledger = Ledger(batch("a", "b", "a", "a"))
    ledger.settle(0, retry_after(5.0, "held"))

    assert ledger.postpone([1, 2, 3]) == {2, 3}

    ledger.settle(1, ack())
    assert [(one.kind, one.delay_s, one.reason) for one in ledger.outcomes()] == [
        ("retry_after", 5.0, "held"), ("ack", 0.0, ""), ("retry_after", 5.0, "after_another"),
        ("retry_after", 5.0, "after_another"),
    ]  # fmt: skip


def test_what_comes_before_one_that_comes_again_is_worked_on() -> None:
    ledger = Ledger(batch("a", "a", "a", "a"))
    ledger.settle(2, retry_after(5.0, "held"))

    assert ledger.postpone([0, 1, 3]) == {3}

    ledger.settle(1, retry_after(1.0, "away"))
    assert ledger.postpone([0]) == set()


def test_of_several_that_come_again_the_earliest_holds_the_others_back() -> None:
    ledger = Ledger(batch("a", "a", "a", "a"))
    ledger.settle(2, retry_after(5.0, "held"))
    ledger.settle(0, retry_after(1.0, "away"))

    assert ledger.postpone([1, 3]) == {1, 3}
    assert [one.delay_s for one in ledger.outcomes()] == [1.0, 1.0, 5.0, 1.0]
