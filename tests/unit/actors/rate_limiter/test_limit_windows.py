"""Minute and hour windows.

Kong: spec/03-plugins/23-rate-limiting/02-policies_spec.lua and 04-access_spec.lua. Unlike there, never more passes.
"""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.rate_limiter.clock import Instant, SteadyClock
from actors.rate_limiter.decision import Decision, Limits, Resets, decided
from actors.rate_limiter.window import Used, Windows

HOUR = 1_800_000_000.0


def ask(windows: Windows, limits: Limits, now: float, cost: int = 1, *, partly: bool = False) -> Decision:
    windows.roll(now)
    admitted = windows.take(limits, cost, partly=partly)
    used = windows.minute_used, windows.hour_used
    return decided(limits, cost, admitted, used, Resets.at(Instant(now, now)))


def test_as_many_pass_as_the_limit_says_and_each_is_told_how_many_are_left() -> None:
    windows = Windows()

    decisions = [ask(windows, Limits(3, 10), HOUR + at) for at in range(5)]

    assert [one.is_allowed for one in decisions] == [True, True, True, False, False]
    assert [one.minute.remaining for one in decisions] == [2, 1, 0, 0, 0]
    # What was refused is not counted.
    assert [one.hour.remaining for one in decisions] == [9, 8, 7, 7, 7]


def test_windows_end_with_the_clocks_minute_and_hour() -> None:
    windows = Windows()

    first = ask(windows, Limits(1, 2), HOUR + 59.0)
    second = ask(windows, Limits(1, 2), HOUR + 60.0)
    third = ask(windows, Limits(1, 2), HOUR + 120.0)
    fourth = ask(windows, Limits(1, 2), HOUR + 3600.0)

    assert (first.minute.resets_in_s, first.hour.resets_in_s) == (1.0, 3541.0)
    assert [one.is_allowed for one in (first, second, third, fourth)] == [True, True, False, True]
    assert (third.minute.remaining, third.hour.remaining, third.retry_after_s) == (1, 0, 3480.0)


def test_both_windows_are_taken_or_none() -> None:
    windows = Windows()
    ask(windows, Limits(5, 3), HOUR, 3)

    refused = ask(windows, Limits(5, 3), HOUR)

    assert not refused.is_allowed
    assert (refused.minute.remaining, refused.hour.remaining) == (2, 0)


def test_a_call_that_costs_more_waits_for_the_window_that_lacks_it() -> None:
    windows = Windows()
    ask(windows, Limits(5, 8), HOUR + 10, 4)

    dear = ask(windows, Limits(5, 8), HOUR + 10, 2)
    cheap = ask(windows, Limits(5, 8), HOUR + 10, 1)
    too_dear = ask(windows, Limits(5, 8), HOUR + 10, 4)

    assert (dear.is_allowed, dear.retry_after_s) == (False, 50.0)
    assert cheap.is_allowed
    # The hour has three left.
    assert too_dear.retry_after_s == 3590.0


def test_more_than_a_whole_limit_is_never_admitted_and_that_is_said() -> None:
    assert ask(Windows(), Limits(5, 8), HOUR, 6).retry_after_s is None


def test_a_part_is_taken_where_that_will_do() -> None:
    windows = Windows()
    ask(windows, Limits(5, 8), HOUR + 10, 3)

    some = ask(windows, Limits(5, 8), HOUR + 10, 4, partly=True)
    none = ask(windows, Limits(5, 8), HOUR + 10, 4, partly=True)

    assert (some.admitted, some.minute.remaining, some.hour.remaining, some.retry_after_s) == (2, 0, 3, 50.0)
    assert none.admitted == 0


def test_to_ask_for_nothing_takes_nothing_and_is_never_refused() -> None:
    windows = Windows()
    ask(windows, Limits(1, 1), HOUR)

    told = ask(windows, Limits(1, 1), HOUR, 0)

    assert told.is_allowed
    assert (told.minute.used, told.hour.used) == (1, 1)


def test_a_changed_limit_counts_at_once() -> None:
    windows = Windows()
    for _ in range(4):
        ask(windows, Limits(5, 50), HOUR)

    lowered = ask(windows, Limits(3, 50), HOUR)
    raised = ask(windows, Limits(10, 50), HOUR)

    assert (lowered.is_allowed, lowered.minute.remaining) == (False, 0)
    assert (raised.is_allowed, raised.minute.remaining) == (True, 5)


def test_a_window_that_has_passed_does_not_come_back() -> None:
    windows = Windows()
    ask(windows, Limits(1, 9), HOUR + 59)
    ask(windows, Limits(1, 9), HOUR + 61)

    assert not ask(windows, Limits(1, 9), HOUR + 59).is_allowed


def test_what_an_earlier_owner_counted_is_added_if_its_windows_still_run() -> None:
    windows = Windows()
    ask(windows, Limits(9, 90), HOUR + 61)

    windows.add_earlier(int((HOUR + 59) // 60), int(HOUR // 3600), Used(5, 20))

    assert (windows.minute_used, windows.hour_used) == (1, 21)


limits_of = st.tuples(st.integers(1, 6), st.integers(1, 12)).map(lambda pair: Limits(*pair))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-4000, 4000), limits_of, st.integers(0, 4), st.booleans()), max_size=60),
)
def test_never_more_than_the_limit_passes_in_a_window_whatever_the_order(
    calls: list[tuple[float, Limits, int, bool]],
) -> None:
    """Times in any order, limits that change: the sum of a window never exceeds the largest limit it had, nor the
    limit of the call that was admitted last."""
    windows = Windows()
    minutes: Counter[int] = Counter()
    hours: Counter[int] = Counter()
    for at, limits, cost, partly in calls:
        decision = ask(windows, limits, HOUR + at, cost, partly=partly)
        minutes[windows.minute] += decision.admitted
        hours[windows.hour] += decision.admitted
        assert (windows.minute_used, windows.hour_used) == (minutes[windows.minute], hours[windows.hour])
        if decision.admitted:
            assert windows.minute_used <= limits.minute
            assert windows.hour_used <= limits.hour
        assert decision.admitted in ({0, cost} if not partly else set(range(cost + 1)))
        assert 0 <= decision.minute.remaining <= limits.minute


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 90), st.integers(1, 3)), min_size=1, max_size=40),
    limits_of,
    st.floats(0, 3599),
    st.booleans(),
)
def test_who_comes_again_when_told_gets_through(
    calls: list[tuple[float, int]], limits: Limits, start: float, stepped_back: bool
) -> None:
    windows, clock, now = Windows(), SteadyClock(), HOUR + start
    offset = 0.0
    instant = clock.read(now, now)
    for passed, cost in calls:
        now += passed
        instant = clock.read(now + offset, now)
        windows.roll(instant.steady)
        admitted = windows.take(limits, cost)
        resets = Resets.at(instant)
        decision = decided(limits, cost, admitted, (windows.minute_used, windows.hour_used), resets)
        if decision.is_allowed:
            continue
        if decision.retry_after_s is None:
            assert cost > min(limits)
            continue
        if stepped_back:
            offset -= 100.0
            decision = decided(
                limits, cost, 0, (windows.minute_used, windows.hour_used), Resets.at(clock.read(now + offset, now))
            )
        assert decision.retry_after_s is not None
        now += decision.retry_after_s + 1e-4
        windows.roll(clock.read(now + offset, now).steady)
        assert windows.take(limits, cost) == cost


@pytest.mark.parametrize(("limits", "used", "retry_after_s"), [
    (Limits(5, 9), (5, 5), 10.0),
    (Limits(5, 9), (5, 9), 1000.0),
    (Limits(5, 9), (3, 9), 1000.0),
])  # fmt: skip
def test_the_last_of_the_windows_that_are_used_up_says_when(
    limits: Limits, used: tuple[int, int], retry_after_s: float
) -> None:
    assert decided(limits, 1, 0, used, Resets(10.0, 1000.0)).retry_after_s == retry_after_s
