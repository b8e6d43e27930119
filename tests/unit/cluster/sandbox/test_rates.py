"""Rates with a burst, with Meta's figures."""

from cluster.sandbox.rates import Pacer


def test_a_pair_has_forty_five_in_advance_and_then_one_in_six_seconds() -> None:
    pacer = Pacer(limit=10)

    def taken(count: int, now: float) -> int:
        return sum(pacer.take("pair", now, interval_s=6, burst=45) for _ in range(count))

    assert taken(60, now=1000) == 45
    assert taken(1, now=1005.9) == 0
    assert taken(2, now=1006) == 1
    assert taken(30, now=1006 + 120) == 20


def test_keys_do_not_share_their_rate() -> None:
    pacer = Pacer(limit=10)

    assert all(pacer.take(key, 0, interval_s=1, burst=1) for key in "abc")


def test_what_is_forced_counts_against_what_follows() -> None:
    pacer = Pacer(limit=10)
    for _ in range(80):
        pacer.take("number", 0, interval_s=1 / 80, burst=80, force=True)

    assert not pacer.take("number", 0, interval_s=1 / 80, burst=80)
    assert pacer.take("number", 1 / 80, interval_s=1 / 80, burst=80)


def test_keys_that_owe_nothing_are_forgotten_and_no_more_are_kept_than_the_limit() -> None:
    pacer = Pacer(limit=100)
    for n in range(1000):
        pacer.take(f"key{n}", now=0, interval_s=60, burst=1)

    assert len(pacer._debts) <= 100


def test_a_thousand_a_second_are_exact_beside_unix_seconds() -> None:
    pacer = Pacer(limit=10)
    now = 1_763_864_000.123

    assert sum(pacer.take("number", now, interval_s=1 / 1000, burst=1000) for _ in range(1100)) == 1000
    assert sum(pacer.take("number", now + 0.5, interval_s=1 / 1000, burst=1000) for _ in range(1100)) == 500
