"""The number of dead letters: what a count is worth, and when they are counted again."""

from itertools import pairwise

import pytest

from actors.mailbox.letter_figure import LetterFigure


def counted(figure: LetterFigure, epoch: int, letters: int, now: float, *, under_way: bool = False) -> None:
    figure.counted(figure.begin(epoch, now, under_way=under_way), letters, now, under_way=False)


def test_the_first_count_of_an_epoch_holds_even_if_a_death_overlapped_it() -> None:
    figure = LetterFigure()
    counted(figure, 1, 7, 0.0, under_way=True)

    assert (figure.number, figure.wanted(1, 0.4), figure.wanted(2, 0.4)) == (7, False, True)


@pytest.mark.parametrize("overlapped", ["before", "between", "after"])
def test_a_later_count_that_a_death_overlapped_changes_nothing(overlapped: str) -> None:
    figure = LetterFigure()
    counted(figure, 1, 7, 0.0)
    begun = figure.begin(1, 5.0, under_way=overlapped == "before")
    if overlapped == "between":
        figure.changed(1)

    figure.counted(begun, 9, 5.0, under_way=overlapped == "after")

    assert figure.number == (8 if overlapped == "between" else 7)


def test_a_later_count_in_peace_mends_what_the_first_one_had_wrong() -> None:
    figure = LetterFigure()
    counted(figure, 1, 7, 0.0, under_way=True)
    figure.changed(1)  # which the count had seen already

    counted(figure, 1, 7, 5.0)

    assert figure.number == 7


@pytest.mark.parametrize(
    ("under_way", "at"), [(False, [0, 5, 15, 35, 75, 155, 315, 635, 1235, 1835]), (True, [0, 0.5, 1.5, 3.5, 7.5, 15.5])]
)
def test_they_are_counted_ever_more_rarely_but_soon_after_a_count_that_was_overlapped(
    under_way: bool, at: list[float]
) -> None:
    figure = LetterFigure()

    for now, then in pairwise(at):
        assert figure.wanted(1, now)
        counted(figure, 1, 7, now, under_way=under_way)
        assert [figure.wanted(1, at) for at in (now, then - 0.1)] == [False, False]


def test_a_count_that_takes_long_comes_again_the_later() -> None:
    figure = LetterFigure()
    begun = figure.begin(1, 0.0, under_way=False)
    figure.counted(begun, 1_000_000, 2.0, under_way=False)

    assert [figure.wanted(1, now) for now in (21.0, 22.0)] == [False, True]
