"""The command line: its exit statuses and messages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.cli import FAILED, MISUSED, NOT_READY, main


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPAZA_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def test_the_status_of_nothing_is_json_that_says_so(capsys: pytest.CaptureFixture[str], data_dir: Path) -> None:
    assert main(["status", "--json"]) == NOT_READY

    document = json.loads(capsys.readouterr().out)
    assert document["ready"] is False
    assert [part["state"] for part in document["parts"]] == ["stopped"]
    assert str(data_dir) in document["parts"][0]["detail"]


def test_the_status_of_nothing_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == NOT_READY

    assert "spaza up" in capsys.readouterr().out


@pytest.mark.parametrize("how", [["--json"], []])
def test_who_reads_no_more_of_what_is_said_gets_no_traceback(how: list[str]) -> None:
    reads, writes = os.pipe()
    os.close(reads)

    ended = subprocess.run(
        [sys.executable, "-m", "cluster.cli", "status", *how], stdout=writes, stderr=subprocess.PIPE, check=False
    )
    os.close(writes)

    assert (ended.returncode, ended.stderr) == (FAILED, b"")


def test_asking_for_the_status_makes_no_folder(data_dir: Path) -> None:
    main(["status", "--json"])

    assert not data_dir.exists()


def test_without_the_demo_missing_secrets_are_refused_by_name(
    capsys: pytest.CaptureFixture[str], data_dir: Path
) -> None:
    assert main(["up", "--no-demo"]) == MISUSED

    said = capsys.readouterr().err
    for name in ("SPAZA_WHATSAPP__APP_SECRET", "SPAZA_ADMIN__TOKEN", "SPAZA_SECRETS__KEY"):
        assert name in said
    assert not data_dir.exists()


def test_an_unknown_setting_is_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPAZA_HTTP__PROT", "8000")

    assert main(["up"]) == MISUSED

    assert "did you mean SPAZA_HTTP__PORT?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [["status"], ["status", "--json"], ["env"], ["mailbox", "list"], ["tenant", "list"], ["migrate", "--dry-run"]],
)
def test_every_command_refuses_a_setting_that_is_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("SPAZA_ADMIN__TOKNE", "secret")
    monkeypatch.setenv("SPAZA_HTTP__PORT", "many")

    assert main(command) == MISUSED

    said = capsys.readouterr().err
    assert "did you mean SPAZA_ADMIN__TOKEN?" in said
    assert "SPAZA_HTTP__PORT: " in said


def test_no_command_but_up_asks_for_what_only_a_start_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPAZA_WHATSAPP__APP_SECRET", "some-app-secret")

    assert main(["status"]) == NOT_READY


def test_a_number_of_replicas_that_makes_no_sense_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["up", "--replicas", "none"])

    assert raised.value.code == MISUSED
    assert "0 to 4" in capsys.readouterr().err


def test_a_data_folder_that_cannot_be_made_is_said_in_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("SPAZA_DATA_DIR", str(tmp_path / "file" / "data"))

    assert main(["up"]) == FAILED

    assert "SPAZA_DATA_DIR" in capsys.readouterr().err
