"""What may wait is bounded, for the shard and for each tenant, and who is refused hears when to come back."""

import pytest

from actors.shards.patience import Patience


def admitted(patience: Patience, party: str, wanted: int) -> int:
    return sum(patience.admits(party) for _ in range(wanted))


def test_one_tenant_takes_half_of_the_room_at_most_and_all_of_them_all_of_it() -> None:
    patience = Patience(4, 10)

    assert [admitted(patience, party, 8) for party in ("a", "b", "c")] == [5, 5, 0]
    patience.gone(["a"])
    assert [admitted(patience, party, 8) for party in ("b", "c", "a")] == [0, 1, 0]
    assert patience.pending == 10


def test_the_time_to_come_back_grows_with_what_is_refused_and_with_how_long_units_take() -> None:
    patience = Patience(4, 100)
    admitted(patience, "a", 50)
    for _ in range(200):
        patience.observe(0.3)

    # Two connections are open to it, so a place every 0.15 s.
    assert patience.retry_after_s("a", 1, 0.0) == pytest.approx(0.15, rel=0.1)
    assert patience.retry_after_s("a", 10, 0.0) == pytest.approx(1.5, rel=0.1)
    assert patience.retry_after_s("a", 10, 0.6) == pytest.approx(3.0, rel=0.1)


def test_who_shares_with_others_waits_longer() -> None:
    patience = Patience(4, 1_000)
    for number in range(1, 8):
        admitted(patience, f"t{number}", 50)
    assert admitted(patience, "t0", 600) == 500
    for _ in range(200):
        patience.observe(0.1)

    # Eight share four connections: half of one is its own.
    assert patience.retry_after_s("t0", 1, 0.0) == pytest.approx(0.2, rel=0.1)


@pytest.mark.parametrize(("mean_s", "expected"), [(1e-6, 0.05), (1e6, 5.0)])
def test_it_is_never_at_once_and_never_an_age(mean_s: float, expected: float) -> None:
    patience = Patience(1, 10)
    for _ in range(300):
        patience.observe(mean_s)

    assert patience.retry_after_s("a", 3, 0.0) == expected
