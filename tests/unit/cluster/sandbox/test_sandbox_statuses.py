"""What becomes of an accepted message, and when."""

import random
from typing import Any

import pytest

from cluster.sandbox.customers import Customer
from cluster.sandbox.knobs import Knobs
from cluster.sandbox.phone_numbers import DEMO_NUMBER
from cluster.sandbox.statuses import Accepted, PlannedStatus, StatusSchedule, plan_statuses, status_update
from cluster.sandbox.validation import Recipient

PHONE = Recipient("+27821234567", "27821234567", None)
BSUID = Recipient("ZA.1349", None, "ZA.1349")


def accepted(
    recipient: Recipient = PHONE, *, customer: Customer | None = None, callback_data: str | None = "m1", **more: Any
) -> Accepted:
    return Accepted(DEMO_NUMBER, recipient, customer, "wamid.X", callback_data, more.get("is_template", False), None)


def plan(**knobs: Any) -> list[PlannedStatus]:
    return plan_statuses(Knobs(**knobs), random.Random(3), failed=False)


def test_a_message_is_sent_delivered_and_read_at_the_times_of_the_knobs() -> None:
    planned = plan(sent_after_ms=10, delivered_after_ms=200, read_after_ms=3000)

    assert planned == [(0.01, "sent", True), (0.2, "delivered", True), (3.0, "read", False)]


def test_a_read_message_is_priced_when_delivered_never_comes() -> None:
    assert plan(drop_delivered=1) == [(0.05, "sent", True), (1.5, "read", True)]


def test_statuses_may_never_come() -> None:
    assert plan(drop_statuses=1) == []
    assert plan(drop_sent=1, drop_delivered=1, drop_read=1) == []


def test_statuses_may_come_twice() -> None:
    statuses = [one.status for one in plan(duplicate_statuses=1)]

    assert sorted(statuses) == sorted(["sent", "delivered", "read"] * 2)


def test_statuses_may_come_in_another_order() -> None:
    planned = plan(reorder_statuses=1)

    assert [one.status for one in planned] != ["sent", "delivered", "read"]
    assert sorted(one.status for one in planned) == ["delivered", "read", "sent"]
    assert [one.after_s for one in planned] == sorted(one.after_s for one in planned)


def test_a_failing_message_is_only_reported_as_failed() -> None:
    assert plan_statuses(Knobs(), random.Random(3), failed=True) == [(0.05, "failed", False)]


def test_a_status_echoes_the_callback_data_and_has_no_conversation_as_in_v24() -> None:
    update = status_update(accepted(), "sent", 1_750_000_000.9, priced=True)

    assert update.item == {
        "id": "wamid.X",
        "status": "sent",
        "timestamp": "1750000000",
        "recipient_id": "27821234567",
        "biz_opaque_callback_data": "m1",
        "pricing": {
            "billable": False,
            "pricing_model": "PMP",
            "type": "free_customer_service",
            "category": "service",
        },
    }
    assert update.contact == {"wa_id": "27821234567"}


def test_a_template_is_billed() -> None:
    update = status_update(accepted(is_template=True), "delivered", 1.0, priced=True)

    assert update.item["pricing"] == {
        "billable": True, "pricing_model": "PMP", "type": "regular", "category": "utility"
    }  # fmt: skip


def test_a_status_of_a_message_to_a_bsuid_shows_no_phone_number() -> None:
    item = status_update(accepted(BSUID, callback_data=None), "read", 1.0, priced=False).item

    assert item == {"id": "wamid.X", "status": "read", "timestamp": "1", "recipient_user_id": "ZA.1349"}


def test_a_status_shows_both_identities_of_a_customer_who_wrote_with_both() -> None:
    customer = Customer("27821234567", "ZA.1349", "Zoë", 0.0)

    update = status_update(accepted(BSUID, customer=customer), "read", 1.0, priced=False)

    assert (update.item["recipient_id"], update.item["recipient_user_id"]) == ("27821234567", "ZA.1349")
    assert update.contact == {"profile": {"name": "Zoë"}, "wa_id": "27821234567", "user_id": "ZA.1349"}


def test_a_failed_status_says_why_and_has_no_contact() -> None:
    update = status_update(accepted()._replace(failure=131047), "failed", 1.0, priced=False)

    error = update.item["errors"][0]
    assert (error["code"], error["title"]) == (131047, "Re-engagement message")
    assert "24 hours" in error["error_data"]["details"]
    assert update.contact is None


def test_the_schedule_gives_each_status_at_its_time() -> None:
    schedule = StatusSchedule(limit=10)
    schedule.add(accepted(), plan(sent_after_ms=10, delivered_after_ms=200, read_after_ms=3000), now=100.0)

    assert schedule.next_at() == pytest.approx(100.01)
    assert [one.status for one in schedule.due(100.0)] == []
    assert [one.status for one in schedule.due(100.2)] == ["sent", "delivered"]
    assert [one.status for one in schedule.due(103.0)] == ["read"]
    assert schedule.next_at() is None


def test_the_schedule_says_when_somebody_must_wake_earlier() -> None:
    schedule = StatusSchedule(limit=10)

    assert schedule.add(accepted(), [PlannedStatus(5, "sent", priced=True)], now=0)
    assert not schedule.add(accepted(), [PlannedStatus(6, "sent", priced=True)], now=0)
    assert schedule.add(accepted(), [PlannedStatus(1, "sent", priced=True)], now=0)


def test_a_full_schedule_drops_and_counts() -> None:
    schedule = StatusSchedule(limit=4)
    schedule.add(accepted(), plan(), now=0)

    schedule.add(accepted(), plan(), now=0)

    assert (len(schedule), schedule.dropped) == (3, 3)
