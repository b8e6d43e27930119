"""Percentiles and what else is computed from samples. Pure."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class LatencySummary(NamedTuple):
    """The spread of a set of latencies in milliseconds; NaN throughout where there were none."""

    samples: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the smallest sample that at least ``percent`` % of the samples do not exceed.

    Args:
        ordered: samples in ascending order.
        percent: above 0, up to 100.

    Returns:
        a sample, never an interpolation; NaN where there is none.
    """
    if not 0 < percent <= 100:
        raise ValueError(f"percent: must be above 0 and up to 100, not {percent}")
    if not ordered:
        return math.nan
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


def summarize(latencies_s: Sequence[float]) -> LatencySummary:
    """Summarize latencies given in seconds, in any order."""
    ordered = sorted(latencies_s)
    return LatencySummary(
        len(ordered),
        percentile(ordered, 50) * 1000,
        percentile(ordered, 99) * 1000,
        percentile(ordered, 100) * 1000,
    )


def median(samples: Sequence[float]) -> float:
    """The middle sample, or the mean of the two in the middle; NaN where there is none."""
    ordered = sorted(samples)
    if not ordered:
        return math.nan
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
