"""Telemetry fails open: whoever watches a piece of work cannot make it fail."""

from collections.abc import Iterator
from contextlib import contextmanager

from structlog.typing import FilteringBoundLogger


@contextmanager
def failing_open(log: FilteringBoundLogger) -> Iterator[None]:
    """Around what an observer is told: should it raise, that is logged, and the work goes on."""
    try:
        yield
    except Exception:
        log.exception("observer_failed")
