"""The clock of the windows under a wall clock that somebody sets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.rate_limiter.clock import Instant, SteadyClock


def test_it_shows_what_the_wall_clock_shows() -> None:
    clock = SteadyClock()

    shown = [clock.read(1000.0 + passed, passed).steady for passed in (0.0, 0.5, 59.0, 61.0)]

    assert shown == [1000.0, 1000.5, 1059.0, 1061.0]


def test_a_step_forth_is_followed_at_once() -> None:
    clock = SteadyClock()
    clock.read(1000.0, 0.0)

    assert clock.read(4600.0, 1.0).steady == 4600.0


def test_after_a_step_back_it_goes_on_a_tenth_slower_until_the_wall_clock_has_caught_up() -> None:
    clock = SteadyClock()
    clock.read(1000.0, 0.0)

    shown = [clock.read(990.0 + passed, passed).steady for passed in (10.0, 50.0, 100.0, 101.0, 150.0)]

    assert shown == pytest.approx([1009.0, 1045.0, 1090.0, 1091.0, 1140.0])


def test_it_says_in_how_many_real_seconds_it_will_show_a_time() -> None:
    # In step; 10 s ahead, in which it stays behind until then; and 10 s ahead, caught up with before.
    assert Instant(1000.0, 1000.0).until_s(1020.0) == 20.0
    assert Instant(990.0, 1000.0).until_s(1009.0) == pytest.approx(10.0)
    assert Instant(990.0, 1000.0).until_s(1200.0) == pytest.approx(210.0)
    assert Instant(1000.0, 1000.0).until_s(999.0) == 0.0


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(-5000, 5000)), min_size=1, max_size=30),
    st.floats(0.1, 4000),
)
def test_it_never_goes_back_and_keeps_what_it_said(steps: list[tuple[float, float]], ahead: float) -> None:
    clock = SteadyClock()
    wall, monotonic, before = 1e9, 0.0, 0.0
    for passed, step in steps:
        wall, monotonic = wall + passed + step, monotonic + passed
        now = clock.read(wall, monotonic)
        assert now.steady >= max(before, wall)
        before = now.steady

    end = now.steady + ahead
    left_s = now.until_s(end)

    # Just before it is not there yet, and then it is.
    earlier = SteadyClock()
    earlier.read(now.steady, monotonic)
    earlier.read(now.wall, monotonic)
    assert earlier.read(wall + left_s * 0.99, monotonic + left_s * 0.99).steady < end
    assert clock.read(wall + left_s, monotonic + left_s).steady == pytest.approx(end, abs=1e-5)
