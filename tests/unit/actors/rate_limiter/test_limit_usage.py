"""Usage as it is told."""

import pytest

from actors.rate_limiter.decision import WindowState
from actors.rate_limiter.usage import window_document


@pytest.mark.parametrize("delay_s", [0.0, 0.002, 0.3])
def test_a_window_ends_when_it_ends_however_long_the_answer_took(delay_s: float) -> None:
    told = window_document(WindowState(5, 2, 50.0), 1_800_000_010.0 + delay_s)

    assert told == {"limit": 5, "used": 3, "remaining": 2, "resets_at": "2027-01-15T08:01:00Z"}
