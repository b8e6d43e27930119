"""What the chain costs, from the rates with and without it."""

import pytest

from benchmarks.gateway.report import Turn, as_text, cost, reached


def test_the_cost_is_the_median_of_the_turns() -> None:
    assert cost([Turn(1000, 800), Turn(1000, 700), Turn(2000, 100)]) == pytest.approx(0.3)


def test_the_text_says_whether_it_is_little_enough() -> None:
    assert "takes 20% of the throughput; at most 35%: yes" in as_text([Turn(100, 80)], ["jwt-auth"])
    assert "takes 50% of the throughput; at most 35%: NO" in as_text([Turn(100, 50)], ["jwt-auth"])


def test_each_method_has_to_be_cheap_enough() -> None:
    turns = [Turn(100, 80), Turn(100, 50, "PUT")]

    assert not reached(turns)
    assert "GET: the chain takes 20%" in as_text(turns, [])
    assert "PUT: the chain takes 50% of the throughput; at most 35%: NO" in as_text(turns, [])


def test_the_goal_is_reached_up_to_its_bound() -> None:
    assert reached([Turn(100, 80)])
    assert not reached([Turn(100, 60)])
