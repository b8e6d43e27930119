"""The nearest-rank percentile and what is summarized by it."""

import math

import pytest

from benchmarks.percentiles import median, percentile, summarize


@pytest.mark.parametrize(
    ("percent", "expected"),
    [
        (1, 1),  # ceil(100 * 1 / 100) = the 1st of 100
        (50, 50),  # the 50th
        (99, 99),
        (99.5, 100),  # ceil(99.5) = the 100th
        (100, 100),
    ],
)
def test_a_percentile_is_the_sample_at_the_nearest_rank_above(percent: float, expected: float) -> None:
    assert percentile(list(range(1, 101)), percent) == expected


def test_a_single_sample_is_every_percentile() -> None:
    assert [percentile([7.0], percent) for percent in (0.1, 50, 99, 100)] == [7.0] * 4


def test_no_sample_has_no_percentile() -> None:
    assert math.isnan(percentile([], 50))


@pytest.mark.parametrize("percent", [0, -1, 100.1])
def test_a_percentile_outside_of_a_hundred_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="percent"):
        percentile([1.0], percent)


def test_a_summary_sorts_and_turns_seconds_into_milliseconds() -> None:
    summary = summarize([0.004, 0.001, 0.003, 0.002])

    assert (summary.samples, summary.p50_ms, summary.p99_ms, summary.max_ms) == (4, 2.0, 4.0, 4.0)


def test_the_median_of_an_even_number_is_the_mean_of_the_middle_two() -> None:
    assert (median([4.0, 1.0, 3.0, 2.0]), median([3.0, 1.0, 2.0])) == (2.5, 2.0)
    assert math.isnan(median([]))
