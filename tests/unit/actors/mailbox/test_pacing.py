"""When to call the consumer, and when to write."""

from typing import Any

import pytest

from actors.mailbox.pacing import Company, dispatch_wait_s, flush_wait_s
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
        ({"ready": 3, "last": 99.999, "room": 3}, 0.0),  # all that the prefetch allows
        ({"ready": 3, "last": 0.0, "room": 0}, None),
        ({"ready": 1, "last": 99.999, "batches_in_flight": 1, "alone": True}, 0.0),
        ({"ready": 1, "last": 99.999, "behind": True}, 0.0),  # who waits behind gains nothing from company
        ({"ready": 1, "last": 99.999, "behind": True, "batches_in_flight": 1}, 0.249),
    ],
)
def test_a_call_to_the_consumer_waits_for_company_only_under_load(
    given: dict[str, Any], expected: float | None
) -> None:
    wait_s = dispatch_wait_s(
        QUEUE, **{"now": 100.0, "batches_in_flight": 0, "room": 10, "alone": False, "behind": False, **given}
    )

    assert wait_s == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"ready": 4, "last": 99.985}, 0.0),  # 267 a second: not busy
        ({"ready": 5, "last": 99.985}, 0.185),  # 333 a second: wait for more
        ({"ready": 60, "last": 99.800}, 0.0),  # so long at most
        ({"ready": 5, "last": 99.990}, 0.005),  # too early to tell
        ({"ready": 5, "last": 90.0}, 0.0),  # after a quiet time
        ({"ready": 70, "last": 99.985}, 0.0),  # full
    ],
)
def test_when_much_comes_calls_keep_a_greater_distance(given: dict[str, Any], expected: float) -> None:
    queue = QUEUE.model_copy(update={"busy_per_s": 300, "busy_linger_ms": 200})

    wait_s = dispatch_wait_s(
        queue, **{"now": 100.0, "batches_in_flight": 0, "room": 70, "alone": False, "behind": False, **given}
    )

    assert wait_s == pytest.approx(expected)


@pytest.mark.parametrize(("appends", "settlements", "expected"), [(1, 0, 0.0), (1, 5, 0.0), (0, 0, None), (0, 1, 0.02)])
def test_an_append_is_written_at_once_and_a_settlement_lingers(
    appends: int, settlements: int, expected: float | None
) -> None:
    wait_s = flush_wait_s(now=5.01, appends=appends, settlements=settlements, oldest_settlement=5.0, linger_s=0.03)

    assert wait_s == (None if expected is None else pytest.approx(expected))


def test_a_lone_call_goes_at_once_and_one_soon_after_it_waits_for_company() -> None:
    company = Company(0.010)

    assert company.wait_s(100.0) == 0.0
    company.gone(100.0, publishers=1, waited=False)

    assert company.wait_s(100.004) == pytest.approx(0.006)
    assert company.wait_s(100.020) == 0.0


def test_as_long_as_waiting_brings_company_calls_keep_their_distance() -> None:
    company = Company(0.010)

    for call in range(20):
        now = 100.0 + call * 0.010
        company.gone(now, publishers=2, waited=call > 0)
        assert company.wait_s(now + 0.003) == pytest.approx(0.007)


def waits_of(company: Company, *, calls: int, met: bool) -> list[int]:
    """Which of so many calls wait, each alone and 2 ms after the last."""
    waits, now = [], 100.0
    for call in range(calls):
        wait_s = company.wait_s(now)
        if wait_s > 0:
            waits.append(call)
        now += wait_s
        company.gone(now, publishers=1, waited=wait_s > 0)
        if met:
            company.met()
        now += 0.002
    return waits


def test_who_is_alone_waits_once_and_then_no_more() -> None:
    assert waits_of(Company(0.010), calls=10_000, met=False) == [1]


def test_who_meets_others_but_waits_in_vain_waits_ever_more_rarely() -> None:
    waits = waits_of(Company(0.010), calls=200, met=True)

    assert waits[0] == 1
    assert 2 < len(waits) < 10


def test_company_that_comes_by_itself_makes_waiting_worth_it_again() -> None:
    company = Company(0.010)
    company.gone(100.0, publishers=1, waited=True)
    assert company.wait_s(100.001) == 0.0

    company.gone(100.002, publishers=3, waited=False)

    assert company.wait_s(100.003) > 0
