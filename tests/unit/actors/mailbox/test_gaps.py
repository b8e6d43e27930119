"""Which lower seqs may still appear."""

from actors.mailbox.gaps import MOST_BEYOND, Gaps


def sure(highest: int) -> Gaps:
    """All up to there is accounted for."""
    gaps = Gaps()
    gaps.restart(highest)
    gaps.looked(highest, 10, 20)
    gaps.looked(highest, 20, 20)
    return gaps


def test_what_follows_without_a_gap_is_preceded_by_nothing() -> None:
    gaps = sure(7)

    for seq in (8, 9, 10):
        assert not gaps.may_precede(seq)
        gaps.see(seq)
    assert gaps.may_precede(12)


def test_a_gap_is_closed_by_the_one_that_was_missing() -> None:
    gaps = sure(7)
    gaps.see(9)
    gaps.see(10)
    assert gaps.may_precede(11)

    gaps.see(8)

    assert not gaps.may_precede(11)


def test_a_gap_is_closed_when_all_who_were_under_way_at_a_look_are_over_at_a_later_one() -> None:
    gaps = sure(7)
    gaps.see(9)

    gaps.looked(9, xmin=28, xmax=31)
    gaps.looked(9, xmin=30, xmax=40)
    assert gaps.may_precede(10)
    gaps.looked(9, xmin=31, xmax=41)

    assert not gaps.may_precede(10)


def test_what_came_during_a_look_is_not_judged_by_it() -> None:
    gaps = sure(7)
    gaps.see(9)
    gaps.see(12)

    gaps.looked(9, xmin=28, xmax=31)
    gaps.looked(12, xmin=31, xmax=50)

    assert not gaps.may_precede(10)
    assert gaps.may_precede(13), "11 may be another's that began after the first look"


def test_what_comes_while_a_transaction_runs_for_long_is_not_noted_without_end() -> None:
    gaps = sure(7)
    for seq in range(9, 9 + 3 * MOST_BEYOND):
        gaps.see(seq)
        gaps.looked(seq, xmin=28, xmax=seq + 100)

    assert len(gaps._beyond) <= MOST_BEYOND
    highest = gaps.highest
    for after in (1, 2):
        gaps.looked(highest, xmin=highest + 100 * after, xmax=highest + 100 * after)
    assert not gaps.may_precede(highest + 1)


def test_a_gap_is_closed_by_the_one_that_was_missing_though_too_many_came_to_be_noted() -> None:
    gaps = sure(7)
    for seq in range(9, 9 + 2 * MOST_BEYOND):
        gaps.see(seq)

    gaps.see(8)

    assert not gaps.may_precede(8 + MOST_BEYOND)
    assert gaps.may_precede(10 + MOST_BEYOND)


def test_after_a_takeover_anything_may_be_missing_until_it_was_looked_at_twice() -> None:
    gaps = Gaps()
    gaps.restart(7)
    assert gaps.may_precede(8)
    gaps.see(8)

    gaps.looked(7, xmin=20, xmax=20)
    assert gaps.may_precede(9)
    gaps.looked(8, xmin=20, xmax=20)

    assert not gaps.may_precede(9)
