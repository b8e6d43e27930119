"""The pause before a part is started again."""

from cluster.backoff import Backoff


def test_pauses_double_while_a_part_keeps_dying() -> None:
    backoff = Backoff(first_s=0.1, most_s=10.0)

    pauses = [backoff.after(1.0) for _ in range(4)]

    assert pauses == [0.1, 0.2, 0.4, 0.8]


def test_pauses_do_not_grow_for_ever() -> None:
    backoff = Backoff(first_s=1.0, most_s=3.0)

    pauses = [backoff.after(0.0) for _ in range(5)]

    assert pauses == [1.0, 2.0, 3.0, 3.0, 3.0]


def test_a_part_that_ran_for_a_while_is_started_again_at_once() -> None:
    backoff = Backoff(first_s=0.1, steady_s=60.0)
    for _ in range(5):
        backoff.after(1.0)

    assert backoff.after(61.0) == 0.1
