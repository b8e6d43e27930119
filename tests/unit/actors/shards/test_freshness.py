"""How far a standby has to be to be fresh enough."""

import pytest

from actors.shards.freshness import Marks


def _marks(*noted: tuple[float, str]) -> Marks:
    marks = Marks()
    for at, position in noted:
        marks.note(at, position)
    return marks


@pytest.mark.parametrize(
    ("max_staleness_s", "enough"),
    [
        # At 10 s the marks are 6, 3 and 1 seconds old.
        (10.0, "0/1"),
        (6.0, "0/1"),
        (5.9, "0/2"),
        (1.0, "0/3"),
        (0.9, None),
        (0.0, None),
    ],
)
def test_the_oldest_mark_that_is_young_enough_is_the_least_that_a_standby_has_to_have(
    max_staleness_s: float, enough: str | None
) -> None:
    assert _marks((4.0, "0/1"), (7.0, "0/2"), (9.0, "0/3")).enough(10.0, max_staleness_s) == enough


def test_without_a_mark_nothing_is_fresh_and_the_primary_is_to_be_asked() -> None:
    assert Marks().enough(10.0, 60.0) is None
    assert Marks().due(10.0, 60.0)


def test_the_primary_is_asked_again_long_before_the_last_mark_is_too_old() -> None:
    marks = _marks((10.0, "0/1"))

    assert not marks.due(10.5, 4.0)
    assert marks.due(11.0, 4.0)
    assert marks.due(10.5, 2.0)


def test_an_answer_that_comes_late_does_not_make_what_was_known_younger() -> None:
    marks = _marks((10.0, "0/2"), (9.0, "0/1"))

    assert marks.enough(10.0, 1.5) == "0/2"
