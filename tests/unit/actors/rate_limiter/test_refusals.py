"""Refusals that are known without asking."""

from actors.rate_limiter.decision import Decision, Limits, WindowState, retry_after_s
from actors.rate_limiter.ledger import Check
from actors.rate_limiter.refusals import Refusals

LIMITS = Limits(5, 50)


def check(cost: int = 1, limits: Limits = LIMITS, *, tenant: str = "a", partly: bool = False) -> Check:
    return Check(tenant, "products", limits, cost, partly)


def refused(minute: int = 0, hour: int = 20, cost: int = 1) -> Decision:
    windows = WindowState(5, minute, 30.0), WindowState(50, hour, 1830.0)
    return Decision(0, cost, *windows, retry_after_s(cost, 0, *windows))


def test_what_was_refused_is_refused_until_its_window_ends_with_what_is_true_by_then() -> None:
    refusals = Refusals()
    refusals.note(check(), refused(), 100.0, 100.0)

    found = refusals.find(check(), 112.0)

    assert found == Decision(0, 1, WindowState(5, 0, 18.0), WindowState(50, 20, 1818.0), 18.0)
    assert refusals.find(check(), 130.0) is None
    assert len(refusals) == 0


def test_a_decision_that_took_its_time_is_believed_as_if_early_and_told_as_if_late() -> None:
    refusals = Refusals()
    refusals.note(check(), refused(), 100.0, 100.5)

    found = refusals.find(check(), 129.5)

    assert found is not None
    assert found.retry_after_s == 1.0
    assert refusals.find(check(), 130.0) is None


def test_while_the_hour_is_used_up_minutes_go_by() -> None:
    refusals = Refusals()
    refusals.note(check(), refused(hour=0), 100.0, 100.0)

    found = refusals.find(check(), 145.0)

    assert found == Decision(0, 1, WindowState(5, 5, 45.0), WindowState(50, 0, 1785.0), 1785.0)


def test_other_limits_are_asked_about() -> None:
    refusals = Refusals()
    refusals.note(check(), refused(), 100.0, 100.0)

    assert refusals.find(check(limits=Limits(6, 50)), 101.0) is None
    assert refusals.find(check(limits=Limits(4, 50)), 101.0) is None


def test_less_than_was_refused_and_a_part_may_still_be_there() -> None:
    refusals = Refusals()
    refusals.note(check(4), refused(minute=2, cost=4), 100.0, 100.0)

    assert refusals.find(check(2), 101.0) is None
    assert refusals.find(check(3), 101.0) is not None
    assert refusals.find(check(4, partly=True), 101.0) is None


def test_nothing_is_left_for_a_part_either() -> None:
    refusals = Refusals()
    refusals.note(check(4, partly=True), refused(cost=4), 100.0, 100.0)

    assert refusals.find(check(2, partly=True), 101.0) is not None
    assert refusals.find(check(), 101.0) is not None


def test_to_be_told_only_is_always_asked() -> None:
    refusals = Refusals()
    refusals.note(check(), refused(), 100.0, 100.0)

    assert refusals.find(check(0), 101.0) is None


def test_what_never_gets_through_bars_nothing_else() -> None:
    refusals = Refusals()
    refusals.note(check(6), refused(minute=5, cost=6), 100.0, 100.0)

    assert refusals.find(check(5), 101.0) is None


def test_it_stays_bounded() -> None:
    refusals = Refusals(capacity=3)
    for number in range(10):
        refusals.note(check(tenant=str(number)), refused(), 100.0, 100.0)

    assert len(refusals) == 3
    assert refusals.find(check(tenant="9"), 101.0) is not None


def test_of_too_many_the_one_that_was_refused_longest_ago_goes() -> None:
    refusals = Refusals(capacity=2)
    for number in ("0", "1", "0", "2"):
        refusals.note(check(tenant=number), refused(), 100.0, 100.0)

    assert [refusals.find(check(tenant=number), 101.0) is not None for number in ("0", "1", "2")] == [True, False, True]
