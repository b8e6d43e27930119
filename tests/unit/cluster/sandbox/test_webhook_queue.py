"""Batches, redelivery and bounds of the webhooks that wait."""

import json
import random
from itertools import pairwise
from typing import Any

import pytest

from cluster.sandbox.envelope import Update, build_envelope
from cluster.sandbox.knobs import Knobs
from cluster.sandbox.phone_numbers import DEMO_NUMBER, PhoneNumber
from cluster.sandbox.webhook_queue import WebhookQueue, next_attempt_at

OTHER = PhoneNumber(
    phone_number_id="100000000000002",
    display_phone_number="+27 11 000 0002",
    access_token="t",
    waba_id="200000000000001",
)
DAY_S = 86_400


def update(n: int = 0, number: PhoneNumber = DEMO_NUMBER, kind: Any = "messages") -> Update:
    return Update(number, kind, {"id": f"wamid.{n}"}, {"wa_id": "27821234567"})


def queue(limit: int = 1000) -> WebhookQueue:
    return WebhookQueue(limit, random.Random(5))


def attempts_of(knobs: Knobs, *, until: float) -> list[float]:
    """The times at which a webhook is tried that never succeeds, on a clock that jumps to the next event."""
    waiting, times, now = queue(), [], 0.0
    waiting.offer(update())
    while now <= until:
        webhook = waiting.take(now, knobs)
        if webhook is None:
            break
        times.append(now)
        again_at = waiting.settle(webhook, 503, now, knobs)
        if again_at is None:
            break
        now = again_at
    return times


def test_redelivery_doubles_its_delay_up_to_four_hours_and_ends_after_seven_days() -> None:
    times = attempts_of(Knobs(), until=30 * DAY_S)

    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[:5] == [1, 2, 4, 8, 16]
    assert gaps[13] == 8192
    assert set(gaps[14:]) == {4 * 3600}
    assert 7 * DAY_S - 4 * 3600 < times[-1] <= 7 * DAY_S


def test_no_number_of_attempts_overflows_the_delay() -> None:
    knobs = Knobs(redelivery_factor=100, redelivery_max_ms=1000)

    assert next_attempt_at(knobs, first_at=0, attempts=10_000, now=5) == 6


def test_a_webhook_that_is_given_up_is_counted_and_gives_its_room_back() -> None:
    knobs, waiting = Knobs(redelivery_for_s=0), queue()
    waiting.offer(update())
    webhook = waiting.take(0, knobs)
    assert webhook is not None

    assert waiting.settle(webhook, None, 0, knobs) is None
    assert waiting.counts["given_up"] == 1
    assert waiting.held == 0


def test_a_redelivery_has_the_same_bytes() -> None:
    knobs, waiting = Knobs(), queue()
    waiting.offer(update())
    first = waiting.take(0, knobs)
    assert first is not None
    body = first.body
    waiting.settle(first, 500, 0, knobs)

    assert waiting.take(0.9, knobs) is None
    again = waiting.take(1.0, knobs)

    assert again is not None
    assert (again.body, again.attempts) == (body, 2)


@pytest.mark.parametrize("status", [None, 201, 204, 302, 400, 401, 500, 503])
def test_anything_but_200_is_redelivered(status: int | None) -> None:
    waiting = queue()
    waiting.offer(update())
    webhook = waiting.take(0, Knobs())
    assert webhook is not None

    assert waiting.settle(webhook, status, 0, Knobs()) == 1.0


def test_a_webhook_takes_as_many_updates_as_the_knob_allows() -> None:
    waiting = queue()
    for n in range(25):
        waiting.offer(update(n))

    sizes = []
    while (webhook := waiting.take(0, Knobs(batch_max=10))) is not None:
        sizes.append(webhook.updates)
        messages = json.loads(webhook.body)["entry"][0]["changes"][0]["value"]["messages"]
        assert len(messages) == webhook.updates

    assert sizes == [10, 10, 5]


def test_a_full_queue_drops_and_counts_until_something_is_settled() -> None:
    waiting = queue(limit=2)

    assert [waiting.offer(update()) for _ in range(3)] == [True, True, False]
    assert waiting.offer_webhook([update()], 0) is None
    assert waiting.counts["dropped"] == 2

    webhook = waiting.take(0, Knobs())
    assert webhook is not None
    assert not waiting.offer(update())
    waiting.settle(webhook, 200, 0, Knobs())
    assert waiting.offer(update())


def test_paused_webhooks_wait() -> None:
    waiting = queue()
    waiting.offer(update())

    assert waiting.take(0, Knobs(webhooks_paused=True)) is None
    assert waiting.take(0, Knobs()) is not None


def test_a_duplicate_is_sent_at_the_same_time_and_not_duplicated_again() -> None:
    waiting, knobs = queue(), Knobs(duplicate_webhooks=1)
    waiting.offer(update())

    first, second, third = (waiting.take(0, knobs) for _ in range(3))

    assert first is not None
    assert second is not None
    assert first.body == second.body
    assert third is None
    for webhook in (first, second):
        waiting.settle(webhook, 200, 0, knobs)
    assert waiting.held == 0


def test_an_envelope_has_one_entry_an_account_and_a_change_a_number_and_kind() -> None:
    third = OTHER.model_copy(update={"phone_number_id": "3", "waba_id": "9"})

    envelope = build_envelope(
        [update(1), update(2, OTHER), update(3), update(4, kind="statuses"), update(5, third)],
    )

    shape = [
        (entry["id"], change["value"]["metadata"]["phone_number_id"], kind, [item["id"] for item in items])
        for entry in envelope["entry"]
        for change in entry["changes"]
        for kind, items in change["value"].items()
        if kind in {"messages", "statuses"}
    ]
    assert shape == [
        ("200000000000001", "100000000000001", "messages", ["wamid.1", "wamid.3"]),
        ("200000000000001", "100000000000002", "messages", ["wamid.2"]),
        ("200000000000001", "100000000000001", "statuses", ["wamid.4"]),
        ("9", "3", "messages", ["wamid.5"]),
    ]
    first = envelope["entry"][0]["changes"][0]["value"]
    assert first["contacts"] == [{"wa_id": "27821234567"}]
    assert first["metadata"]["display_phone_number"] == "27110000001"
