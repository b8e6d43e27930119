"""What all unit tests leave as they found it."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _leave_logging_as_it_was() -> Iterator[None]:
    """A command that a test runs sets logging up for its process, and to a stream that pytest closes."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
