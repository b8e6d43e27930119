"""Figures are held against what is to be reached."""

import pytest

from benchmarks.goals import Goal, judge


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        (Goal("answers", 1.8, of_peer=True), (2.0, True)),
        (Goal("answers", 2.1, of_peer=True), (2.0, False)),
        (Goal("answers", 2.0, at_most=True, of_peer=True), (2.0, True)),
        (Goal("answers", 599, at_most=True), (600, False)),
        (Goal("answers", 600), (600, True)),
    ],
)
def test_a_goal_is_a_bound_on_a_figure_or_on_its_multiple_of_the_peers(
    goal: Goal, expected: tuple[float, bool]
) -> None:
    assert judge(goal, {"answers": 600}, {"answers": 300}) == expected


def test_what_was_not_measured_is_not_judged() -> None:
    assert judge(Goal("answers", 1), {}, {"answers": 300}) is None
    assert judge(Goal("answers", 1, of_peer=True), {"answers": 600}, {}) is None
