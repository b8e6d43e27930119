"""How fast messages come and go."""

from actors.mailbox.rates import Rates


def test_rates_are_of_the_last_minute_and_not_of_all_time() -> None:
    rates = Rates()
    for second in range(0, 300, 2):
        busy = min(second, 100)
        rates.note(float(second), arrived=10 * busy, left=5 * busy)
    assert rates.per_s() == (0.0, 0.0)

    for second in range(300, 332, 2):
        rates.note(float(second), arrived=1_000 + 60 * (second - 300), left=500)
    arriving, leaving = rates.per_s()

    assert 28 <= arriving <= 32  # for half of the minute
    assert leaving == 0.0


def test_nothing_is_said_before_there_is_something_to_compare() -> None:
    rates = Rates()
    assert rates.per_s() == (0.0, 0.0)
    rates.note(0.0, arrived=100, left=100)
    assert rates.per_s() == (0.0, 0.0)
    rates.note(2.0, arrived=110, left=104)
    assert rates.per_s() == (5.0, 2.0)
