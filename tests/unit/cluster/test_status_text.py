"""The status as a person reads it."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from cluster.durations import duration
from cluster.status_text import show


def _queue(**more: Any) -> dict[str, Any]:
    figures = {
        "state": "owning", "epoch": 3, "waiting": 0, "in_flight": 0, "oldest_age_s": None, "dead_letters": 0,
        "counters": {"delivered": 1234, "acknowledged": 1234}, "pid": 4711, "consumer_up": True, "paused": False,
        "counted": True, "in_per_s": 0.0, "out_per_s": 1.25,
        "partitions": {str(number): {"state": "owning", "epoch": 3} for number in range(32)},
    }  # fmt: skip
    return {**figures, **more}


def _document(**mailboxes: dict[str, Any]) -> dict[str, Any]:
    shards = {"committed": 20_000, "failed": 3, "pending": 0, "connections": 14, "idle": 9, "errors": {}, "actors": {}}
    return {
        "ready": True,
        "instance_id": "an-id",
        "parts": [{"name": "Redis", "state": "running", "detail": "/run/redis.sock"}],
        "figures": {"uptime_s": 200.4, "disk_free_bytes": 41_230_000_000, "shards": shards, "mailboxes": mailboxes},
        "ports": {"http": 8000, "metrics": 20_130},
    }


def _shown(document: dict[str, Any]) -> list[str]:
    printed = StringIO()
    show(document, Console(file=printed, highlight=False, soft_wrap=True))
    return printed.getvalue().splitlines()


def test_a_person_reads_the_parts_and_the_figures_that_matter() -> None:
    assert _shown(_document(inbound=_queue(), outgoing=_queue(waiting=12_345, in_flight=2, oldest_age_s=2.14))) == [
        "Ready",
        "  Redis               running     /run/redis.sock",
        "",
        "  Metrics                   http://127.0.0.1:20130/metrics",
        "  Up for                    3 min 20 s",
        "  Disk free                 41.2 GB",
        "  Shards                    20,000 units committed, 3 failed, 14 connections",
        "",
        (
            "  Queue                            Waiting     In flight        Oldest          In/s         Out/s"
            "     Delivered  Dead letters"
        ),
        (
            "  inbound                                0             0             -           0.0           1.2"
            "         1,234             0"
        ),
        (
            "  outgoing                          12,345             2         2.1 s           0.0           1.2"
            "         1,234             0"
        ),
    ]


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"paused": True}, "paused"),
        ({"consumer_up": False}, "its consumer is away"),
        ({"state": "recovering"}, "recovering"),
        ({"counted": False}, "not counted yet"),
    ],
)
def test_what_keeps_a_queue_from_delivering_stands_beside_it(figures: dict[str, Any], said: str) -> None:
    assert _shown(_document(inbound=_queue(**figures)))[-1].endswith(f"   {said}")


def test_a_queue_that_does_not_answer_is_said_so() -> None:
    assert _shown(_document(inbound={"state": "unreachable"}))[-1].split() == ["inbound", "unreachable"]


def test_what_does_not_run_has_no_figures() -> None:
    document = {"ready": False, "parts": [{"name": "Spaza", "state": "stopped", "detail": "nothing"}]}

    assert _shown({**document, "figures": {}, "ports": {}}) == [
        "Not ready",
        "  Spaza               stopped     nothing",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"), (9.94, "9.9 s"), (10, "10 s"), (59.9, "59 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"),
        (3600, "1 h 0 min"), (86_399, "23 h 59 min"), (90_000, "1 d 1 h"),
    ],
)  # fmt: skip
def test_durations_are_told_in_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_limits_are_a_line_once_anything_was_checked() -> None:
    document = _document()
    document["figures"]["rate_limits"] = {"checks": 1_234, "admitted": 1_200, "refused": 30, "tenants": 12}

    assert "  Rate limits               1,200 passed, 30 refused, 12 tenants in this hour" in _shown(document)


def test_servers_are_shown_with_their_roles_and_how_far_they_are_behind() -> None:
    server = {"received_lsn": "0/3000", "replayed_lsn": "0/2000", "timeline": 1, "sync_state": "quorum"}
    document = _document()
    document["figures"]["postgres"] = {
        "primary": "PostgreSQL",
        "servers": [
            {**server, "name": "PostgreSQL", "role": "primary", "streaming": None, "lag_bytes": None, "lag_s": None},
            {**server, "name": "PostgreSQL 2", "role": "standby", "streaming": True, "lag_bytes": 4096, "lag_s": 0.25},
            {**server, "name": "PostgreSQL 3", "role": "standby", "streaming": False, "lag_bytes": 1, "lag_s": None},
        ],
    }

    shown = [line.split() for line in _shown(document) if line.startswith("  PostgreSQL")]

    assert shown == [
        ["PostgreSQL", "Role", "Received", "Replayed", "Behind", "Lag"],
        ["PostgreSQL", "primary", "0/3000", "0/2000", "-", "-"],
        ["PostgreSQL", "2", "standby", "0/3000", "0/2000", "4,096", "B", "0.2", "s"],
        ["PostgreSQL", "3", "standby", "0/3000", "0/2000", "1", "B", "-", "does", "not", "follow"],
    ]
