"""When the mailboxes count as well."""

from typing import Any

from services.ops.mailbox_health import mailbox_faults


def queue(*states: str, consumer_up: bool = True) -> dict[str, Any]:
    return {
        "partitions": {str(number): {"state": state} for number, state in enumerate(states)},
        "consumer_up": consumer_up,
    }


CONSUMED = frozenset({"a", "b", "whatsapp.inbound", "notifications.whatsapp"})


def test_queues_whose_partitions_are_all_owned_and_consumed_are_well() -> None:
    figures = {"whatsapp.inbound": queue("owning"), "notifications.whatsapp": queue("owning", "owning")}

    assert mailbox_faults(figures, consumed=CONSUMED) == []


def test_what_does_not_answer_is_named() -> None:
    assert mailbox_faults({}, consumed=CONSUMED) == ["no mailbox answers"]
    assert mailbox_faults({"a": {"state": "unreachable"}, "b": queue("owning")}, consumed=CONSUMED) == [
        "a: its actor does not answer"
    ]


def test_partitions_that_nobody_owns_are_counted_by_their_state() -> None:
    assert mailbox_faults({"a": queue("owning", "recovering", "passive", "recovering")}, consumed=CONSUMED) == [
        "a: 1 passive, 2 recovering"
    ]
    assert mailbox_faults({"a": queue()}, consumed=CONSUMED) == ["a: no partition"]


def test_why_a_partition_is_not_owned_is_said_once() -> None:
    figures = queue("owning", "recovering", "recovering")
    figures["partitions"]["0"]["why"] = ""
    for number in "12":
        figures["partitions"][number]["why"] = "DiskFullError 53100: the disk of the database is full; make room"

    assert mailbox_faults({"a": figures}, consumed=CONSUMED) == [
        "a: 2 recovering (DiskFullError 53100: the disk of the database is full; make room)"
    ]


def test_a_queue_without_its_consumer_is_not_well() -> None:
    assert mailbox_faults({"a": queue("owning", consumer_up=False)}, consumed=CONSUMED) == [
        "a: its consumer does not answer"
    ]


def test_a_queue_that_was_given_no_consumer_is_well_without_one() -> None:
    assert mailbox_faults({"orders": queue("owning", consumer_up=False)}, consumed=CONSUMED) == []
