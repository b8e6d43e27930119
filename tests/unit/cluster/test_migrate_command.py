"""``spaza migrate``: what it refuses, what it says, and how it shows how far it is."""

import io
import json
from pathlib import Path

import pytest

from actors.shards.catalog import Difference
from actors.shards.drift import DriftReport, SchemaDrift
from actors.shards.migration_files import Phase
from actors.shards.migration_plan import MigrationPlan, ShardPlan, TenantPlan
from actors.shards.migration_report import MigrationReport, Progress, ShardFailure, TenantFailure
from actors.shards.setup import SetupReport
from cluster import migrate_documents, migrate_text
from cluster.cli import FAILED, MISUSED, main
from cluster.migrate_screen import MigrationScreen, estimate
from cluster.shards_in_words import shards_in_words

TENANT, OTHER = "a" * 32, "b" * 32
BEHIND = TenantPlan(TENANT, 3, 2, ("0003_pre_x",))
PLAN = MigrationPlan(
    Phase.PRE, 3, (ShardPlan(3, ("0005_pre_s",), (BEHIND,), 4, ("0003_pre_x",)),), (BEHIND,), {7: "refused"}
)
FAILURE = TenantFailure(TENANT, 3, "0003_pre_x", "could not create unique index (SQLSTATE 23505)", "23505")
REPORT = MigrationReport(PLAN, 0, 0, 1, (FAILURE,), (ShardFailure(7, "refused", 0),), True, False, 2.0)


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPAZA_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def test_where_nothing_runs_and_nothing_is_given_it_says_so_with_the_remedy(
    capsys: pytest.CaptureFixture[str], data_dir: Path
) -> None:
    assert main(["migrate"]) == FAILED

    said = capsys.readouterr().err
    for part in ("SPAZA_POSTGRES__DSN", "spaza up", "SPAZA_DATA_DIR", str(data_dir)):
        assert part in said
    assert not data_dir.exists()


def test_a_canary_of_the_settings_that_is_no_id_is_refused_by_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPAZA_MIGRATIONS__CANARIES", f"{TENANT}, thandi")

    assert main(["migrate"]) == MISUSED

    said = capsys.readouterr().err
    assert "SPAZA_MIGRATIONS__CANARIES" in said
    assert "thandi" in said


def test_a_dsn_that_is_none_is_refused_without_being_quoted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPAZA_POSTGRES__DSN", "mysql://owner:hush@host/x")

    assert main(["migrate", "--dry-run"]) == MISUSED

    said = capsys.readouterr().err
    assert "SPAZA_POSTGRES__DSN" in said
    assert "hush" not in said


def test_a_folder_without_migrations_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["migrate", "--files", str(tmp_path)]) in {FAILED, MISUSED}

    assert capsys.readouterr().err


def test_a_plan_names_each_migration_with_where_it_would_go() -> None:
    said = "\n".join(migrate_text.plan(PLAN))

    assert "0005_pre_s" in said
    assert "1 tenant, and new ones of 1 shards" in said
    assert "shard 03: 1 tenant behind (1 at 0002)" in said
    assert f"Canaries first: {TENANT}" in said
    assert "Shard 07 does not answer" in said
    document = json.loads(json.dumps(migrate_documents.plan(PLAN)))
    assert document["dry_run"] is True
    assert document["shards"][0]["tenants"] == [{"tenant_id": TENANT, "version": 2, "migrations": ["0003_pre_x"]}]


def test_a_failing_canary_is_named_with_its_remedy() -> None:
    said = "\n".join(migrate_text.report(REPORT))

    assert "The others were not touched" in said
    assert f"tenant {TENANT} on shard 03 failed at 0003_pre_x" in said
    assert f"schema tenant_{TENANT} of shard 03" in said
    document = json.loads(json.dumps(migrate_documents.report(REPORT)))
    assert (document["complete"], document["stopped_by_canary"]) == (False, True)
    assert document["failed"][0]["remedy"] == FAILURE.remedy


def test_drift_is_said_line_by_line() -> None:
    missing = Difference("missing", "column", "product.stock", "integer", "")
    drifted = SchemaDrift(f"tenant_{TENANT}", 3, 2, "f" * 64, "e" * 64, (missing,), "")
    found = DriftReport(5, 3, {2: 5}, {2: ("e" * 64,)}, (drifted,), {})

    said = "\n".join(migrate_text.drift(found))

    assert "missing column product.stock: integer" in said
    assert "5 schemas looked at, 1 differ" in said
    assert "5 tenants older than 0003" in said
    assert json.loads(json.dumps(migrate_documents.drift(found)))["drifted"][0]["differences"][0]["what"] == "missing"


def test_progress_has_an_estimate_in_words_that_suit_its_length() -> None:
    assert estimate(Progress(0, 500, 0, 0.1)) == "just begun"
    assert estimate(Progress(100, 500, 0, 2.0)) == "50/s, about 8 s left"
    assert estimate(Progress(10, 5_010, 1, 1.0)) == "10/s, about 8 min left, 1 failed"
    assert estimate(Progress(500, 500, 0, 10.0)) == "50/s"


def test_where_nobody_sits_progress_is_plain_lines_now_and_then() -> None:
    said, now = io.StringIO(), 0.0
    screen = MigrationScreen(as_json=False, file=said, clock=lambda: now)
    for done in range(101):
        now += 0.1
        screen.show(Progress(done, 100, 0, now))

    lines = said.getvalue().splitlines()
    assert 4 <= len(lines) <= 7
    assert lines[-1] == "100 of 100 tenants, 10/s"


def test_for_programs_progress_is_a_json_object_a_line() -> None:
    said = io.StringIO()
    screen = MigrationScreen(as_json=True, file=said, clock=lambda: 10.0)
    screen.show(Progress(4, 4, 1, 2.0))

    assert json.loads(said.getvalue()) == {"done": 4, "total": 4, "failed": 1, "per_s": 2.0, "left_s": 0.0}


@pytest.mark.parametrize(
    ("sqlstate", "word"),
    [("", "server"), ("57P01", "server"), ("55P03", "quieter"), ("57014", "--statement-timeout-s"),
     ("23505", "rows"), ("42P07", "--drift"), ("XX000", "may still be changed")],
)  # fmt: skip
def test_each_kind_of_failure_has_its_remedy(sqlstate: str, word: str) -> None:
    assert word in FAILURE._replace(sqlstate=sqlstate).remedy


def test_a_start_says_which_tenants_are_behind() -> None:
    assert shards_in_words(SetupReport(0, 0, 0, 1.0), None) == "32 databases"
    assert "12 tenants are older than this code" in shards_in_words(SetupReport(0, 0, 12, 1.0), None)
    done = REPORT._replace(stopped=False, migrated=11)
    assert "11 tenants migrated; 1 failed" in shards_in_words(SetupReport(0, 0, 12, 1.0), done)
    assert TENANT in shards_in_words(SetupReport(0, 0, 12, 1.0), REPORT)
