"""The figures of the shards, put together and held against what is wanted."""

import math

from benchmarks.units.across import Asked
from benchmarks.units.rates import callers
from benchmarks.units.report import Rate, as_table, in_time, share

RATES = [
    Rate("read", 0, 1000.0), Rate("read", 0, 1200.0), Rate("read", 32, 550.0), Rate("read", 32, 660.0),
    Rate("read", 256, 1100.0),
]  # fmt: skip


def test_a_share_is_of_the_medians_of_both_sides() -> None:
    assert share(RATES, "read", 32) == 605 / 1100
    assert math.isnan(share(RATES, "change", 32))


def test_a_question_is_in_time_within_a_fifth_and_5_ms_of_the_slowest_shard() -> None:
    asked = [Asked(10.0, 17.0, 5.0), Asked(10.0, 17.1, 5.0), Asked(1.0, 6.0, 1.0), Asked(100.0, 124.0, 1.0)]

    assert in_time(asked) == 0.75


def test_the_table_says_what_is_reached_and_what_is_not() -> None:
    text = as_table(RATES, [Asked(10.0, 12.0, 5.0)])

    assert "0.60: NO" in text
    assert "0.80: yes" in text
    assert "100%; 9 of 10: yes" in text


def test_there_is_always_a_call_that_waits_and_sixteen_units_under_way() -> None:
    assert [callers(batch) for batch in (1, 8, 32, 256)] == [16, 2, 2, 2]
