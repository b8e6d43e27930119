"""``spaza mailbox`` without an instance: its arguments, what it asks for, and what it says."""

import argparse
import io
import json
from pathlib import Path
from typing import Any

import pytest

from cluster import mailbox_command, mailbox_text
from cluster.admin_client import AdminClient
from cluster.answered import NOT_DONE, UNCONFIRMED
from cluster.cli import FAILED, MISUSED, main
from cluster.mailbox_arguments import add_mailbox_commands

PLAN = {
    "queue": "q", "which": "dead", "action": "redrive", "dry_run": True, "selected": 1200, "held_back": 2,
    "may_reach_a_customer_twice": 0, "by_reason": {"rejected/auth:190": 1200}, "by_tenant": {"a": 1200},
    "missing_partitions": {},
}  # fmt: skip
PART = {
    **PLAN, "messages": 500, "ids": ["m1"], "left_in_flight": 0, "left_corrupt": 0, "left_worn_out": 0,
    "complete": False, "trouble": "", "began": "2026-11-23T05:00:00.000Z",
}  # fmt: skip


class FakeClient:
    """Answers in turn, and remembers what it was asked."""

    answers: list[dict[str, Any]]
    asked: list[tuple[str, dict[str, Any]]]

    def __init__(self, *_: object) -> None:
        pass

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        return self.post(path, **query)

    def post(self, path: str, **fields: Any) -> dict[str, Any]:
        FakeClient.asked.append((path, {name: value for name, value in fields.items() if value is not None}))
        return FakeClient.answers.pop(0)


@pytest.fixture(autouse=True)
def instance(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeClient.answers, FakeClient.asked = [], []
    monkeypatch.setattr(mailbox_command, "AdminClient", FakeClient)
    monkeypatch.setattr("sys.stdin", io.StringIO())


def run(*arguments: str) -> int:
    return main(["mailbox", *arguments])


def test_a_redrive_goes_on_until_it_is_complete_and_never_meets_what_died_since(
    capsys: pytest.CaptureFixture[str],
) -> None:
    FakeClient.answers = [PLAN, PART, PART, {**PART, "messages": 200, "complete": True}]

    assert run("redrive", "q", "--reason", "auth", "--yes", "--json") == 0

    done = json.loads(capsys.readouterr().out)
    assert (done["messages"], done["complete"]) == (1200, True)
    assert [fields.get("began") for _, fields in FakeClient.asked] == [None, None, PART["began"], PART["began"]]
    assert all(fields["reason"] == "auth" for _, fields in FakeClient.asked)


def test_a_limit_is_of_all_parts_together() -> None:
    FakeClient.answers = [PLAN, PART, {**PART, "messages": 100}]

    assert run("redrive", "q", "--all", "--limit", "600", "--yes") == 0

    assert [fields.get("limit") for _, fields in FakeClient.asked] == [None, 600, 100]


def test_a_dry_run_says_what_would_happen_and_asks_for_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    FakeClient.answers = [{**PLAN, "left_corrupt": 7}]

    assert run("redrive", "q", "--all", "--dry-run") == 0

    said = capsys.readouterr().out
    assert "1,200 dead letters of q would be put back" in said
    assert "rejected/auth:190" in said
    assert "--force" in said
    assert "7 more are left: they were damaged" in said
    assert [fields["dry_run"] for _, fields in FakeClient.asked] == [True]


@pytest.mark.parametrize("verb", ["redrive", "purge"])
def test_without_a_yes_nothing_is_changed_where_nobody_can_be_asked(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeClient.answers = [{**PLAN, "action": verb}]

    assert run(verb, "q", "--all") == UNCONFIRMED

    assert "--yes" in capsys.readouterr().err
    assert len(FakeClient.asked) == 1


@pytest.mark.parametrize(
    ("arguments", "which", "said"),
    [
        (
            [],
            "waiting",
            "1,200 waiting messages of q would be settled as purged; its dead letters are left as they are",
        ),
        (["--dead"], "dead", "1,200 dead letters of q would be settled as purged"),
    ],
)
def test_a_purge_says_which_messages_it_means(
    arguments: list[str], which: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeClient.answers = [{**PLAN, "action": "purge", "which": which}]

    assert run("purge", "q", "--all", *arguments) == UNCONFIRMED

    told = capsys.readouterr().err
    assert told.splitlines()[0] == said
    assert f"To purge {said.partition(' would')[0]} say --yes" in told
    assert FakeClient.asked[0][1]["which"] == which


@pytest.mark.parametrize(
    ("arguments", "asked"), [([], {"tenants": 3}), (["--json"], {}), (["--tenants=7"], {"tenants": 7})]
)
def test_a_person_is_shown_few_tenants_and_a_program_what_there_is(arguments: list[str], asked: dict[str, int]) -> None:
    FakeClient.answers = [{"queues": []}]

    assert run("list", *arguments) == 0

    assert FakeClient.asked == [("", asked)]


def test_what_ended_early_is_a_failure_and_says_that_it_may_be_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    FakeClient.answers = [PLAN, {**PART, "trouble": "partition 3 is recovering"}]

    assert run("redrive", "q", "--all", "--yes") == NOT_DONE

    said = capsys.readouterr().out
    assert "partition 3 is recovering" in said
    assert "repeated" in said


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["wamid.X"], {"wamid": "wamid.X"}),
        (["100:wamid.X"], {"message_id": "100:wamid.X"}),
        (["o1", "--order", "--hours", "48"], {"order_id": "o1", "hours": 48}),
        (["c1", "--correlation"], {"correlation_id": "c1"}),
    ],
)
def test_a_message_is_traced_by_what_it_is_called(arguments: list[str], asked: dict[str, Any]) -> None:
    FakeClient.answers = [{"messages": [], "caused": [], "missing_shards": [3], "complete": False}]

    assert run("trace", *arguments, "--json") == NOT_DONE

    assert FakeClient.asked == [("/trace", asked)]


def test_shards_that_did_not_answer_are_named() -> None:
    lines = mailbox_text.trails({"messages": [], "caused": [], "missing_shards": [3, 17]})

    assert any("3, 17" in line for line in lines)


def test_what_was_not_counted_yet_is_marked() -> None:
    queue = {
        "queue": "q", "state": "owning", "paused": True, "consumer_up": True, "waiting": 1, "in_flight": 0,
        "oldest_age_s": 61.0, "in_per_s": 0.0, "out_per_s": 0.0, "dead_letters": 0, "counted": False,
        "loops_cut": 2, "tenants": {"a": 1}, "tenants_total": 3, "reasons": {}, "missing_partitions": [4],
    }  # fmt: skip

    lines = mailbox_text.overview({"queues": [queue, {"queue": "gone", "state": "unreachable"}]})

    assert " ".join(lines[1].split()) == "q 1+ 0 1 min 1 s 0.0 0.0 0+ paused, not counted yet"
    assert lines[2].split() == ["gone", "unreachable"]
    assert any("2 more tenants" in line for line in lines)
    assert any("not counted: 4" in line for line in lines)
    assert any("2 times a letter that dies each time" in line for line in lines)


@pytest.mark.parametrize("text", ["yesterday", "5 minutes", "2026-13-01"])
def test_a_time_that_makes_no_sense_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        run("peek", "q", "--since", text)

    assert raised.value.code == MISUSED
    assert "15m" in capsys.readouterr().err


@pytest.mark.parametrize("rate", ["0", "100001", "-1", "fast"])
def test_a_rate_that_makes_no_sense_is_refused_under_its_name(rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        run("redrive", "q", "--all", f"--rate={rate}")

    assert raised.value.code == MISUSED
    assert "argument --rate: must be a number" in capsys.readouterr().err


@pytest.mark.parametrize(("verb", "named"), [("redrive", "--id"), ("purge", "--tenant"), ("purge", "--since")])
def test_all_of_them_and_some_of_them_are_not_both_meant(
    verb: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        run(verb, "q", "--all", named, "2h", "--yes")

    assert raised.value.code == MISUSED
    assert f"--all means all of them; leave out --all, or {named}" in capsys.readouterr().err
    assert not FakeClient.asked


def test_a_time_is_given_in_utc_or_as_so_long_ago() -> None:
    parser = argparse.ArgumentParser()
    add_mailbox_commands(parser.add_subparsers())

    given = parser.parse_args(["mailbox", "peek", "q", "--since", "2h", "--until", "2026-11-23T05:00"])

    assert given.until == "2026-11-23T05:00:00+00:00"
    assert given.since.endswith("+00:00")


def test_without_an_instance_the_remedy_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mailbox_command, "AdminClient", AdminClient)
    monkeypatch.setenv("SPAZA_DATA_DIR", str(tmp_path / "none"))

    assert run("list") == FAILED

    assert "spaza up" in capsys.readouterr().err
