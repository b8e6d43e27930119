"""Metrics through ``ray.util.metrics``: they reach the Ray dashboard and Prometheus.

Label values come from small closed sets (queue, outcome, status); a tenant is never a label here. Record once a
batch, not once a message: an observation costs some ten microseconds.
"""

from collections.abc import Mapping

from ray.util import metrics

# Milliseconds; from the cost of one hop to the edge of Meta's patience.
LATENCY_BOUNDARIES_MS = (1, 2, 5, 10, 20, 50, 100, 250, 500, 1_000, 2_500, 10_000)


class Counter:
    """A count that only grows, named ``spaza_<what>_total``."""

    def __init__(self, name: str, description: str, labels: tuple[str, ...] = ()) -> None:
        self._metric = metrics.Counter(name, description=description, tag_keys=labels)

    def add(self, amount: int, labels: Mapping[str, str] | None = None) -> None:
        """Add to the count; nothing is recorded for zero."""
        if amount > 0:
            self._metric.inc(amount, tags=dict(labels or {}))


class Latency:
    """A histogram of durations in milliseconds, named ``spaza_<what>_ms``."""

    def __init__(self, name: str, description: str, labels: tuple[str, ...] = ()) -> None:
        self._metric = metrics.Histogram(
            name, description=description, boundaries=[float(edge) for edge in LATENCY_BOUNDARIES_MS], tag_keys=labels
        )

    def observe_s(self, seconds: float, labels: Mapping[str, str] | None = None) -> None:
        """Record one duration, given in seconds."""
        self._metric.observe(max(seconds * 1000, 0.001), tags=dict(labels or {}))


class Gauge:
    """A value that goes up and down, named ``spaza_<what>``."""

    def __init__(self, name: str, description: str, labels: tuple[str, ...] = ()) -> None:
        self._metric = metrics.Gauge(name, description=description, tag_keys=labels)

    def set(self, value: float, labels: Mapping[str, str] | None = None) -> None:
        """Replace the value."""
        self._metric.set(value, tags=dict(labels or {}))
