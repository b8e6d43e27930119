"""When to call the consumer, and when to write."""

from typing import Any

import pytest

from actors.mailbox.pacing import dispatch_wait_s, flush_wait_s
from config.topology import Queue

QUEUE = Queue.model_validate(
    {
        "name": "q",
        "bindings": [{"exchange": "x"}],
        "batch": 10,
        "batches_in_flight": 2,
        "linger_ms": 15,
        "patience_ms": 250,
    }
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"ready": 1, "last": 90.0}, 0.0),  # a lone message after a quiet time
        ({"ready": 1, "last": 99.990}, 0.005),  # under load: company may come
        ({"ready": 10, "last": 99.999}, 0.0),  # full
        ({"ready": 0, "last": 0.0}, None),
        ({"ready": 10, "last": 0.0, "batches_in_flight": 2}, None),
        ({"ready": 1, "last": 99.990, "batches_in_flight": 1}, 0.240),  # goes with others when that call ends
        ({"ready": 1, "last": 99.700, "batches_in_flight": 1}, 0.0),  # that call takes long
        ({"ready": 10, "last": 99.990, "batches_in_flight": 1}, 0.0),
    ],
)
def test_a_call_to_the_consumer_waits_for_company_only_under_load(
    given: dict[str, Any], expected: float | None
) -> None:
    wait_s = dispatch_wait_s(QUEUE, **{"now": 100.0, "batches_in_flight": 0, **given})

    assert wait_s == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(("appends", "settlements", "expected"), [(1, 0, 0.0), (1, 5, 0.0), (0, 0, None), (0, 1, 0.02)])
def test_an_append_is_written_at_once_and_a_settlement_lingers(
    appends: int, settlements: int, expected: float | None
) -> None:
    wait_s = flush_wait_s(now=5.01, appends=appends, settlements=settlements, oldest_settlement=5.0, linger_s=0.03)

    assert wait_s == (None if expected is None else pytest.approx(expected))
