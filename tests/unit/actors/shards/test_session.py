from pathlib import Path

import pytest

from actors.shards.session import leaves_session_alone
from kernel.sql import load_queries

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "-- A comment; with a semicolon, and SET app.current_tenant in it.\nSELECT 1",
        "\n  insert INTO t VALUES ($1) RETURNING x;\n",
        "WITH a AS (SELECT 1) UPDATE t SET x = 1",
        "SELECT pg_advisory_xact_lock(1)",
    ],
)
def test_statements_on_rows_need_no_check(statement: str) -> None:
    assert leaves_session_alone(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SET app.current_tenant = 'x'",
        "SELECT 1; SET app.current_tenant = 'x'",
        "SELECT set_config('app.current_tenant', 'x', false)",
        "select SET_CONFIG ('search_path', 'x', false)",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_lock(1)",
        "DO $$ BEGIN PERFORM 1; END $$",
        "RESET ALL",
        "COMMIT",
        "LISTEN x",
        "/* hidden */ SET x = 1",
        "CALL p()",
        "UPDATE pg_settings SET setting = '65' WHERE name = 'work_mem'",
    ],
)
def test_what_may_change_the_session_is_checked_on_release(statement: str) -> None:
    assert not leaves_session_alone(statement)


def test_no_statement_of_a_unit_of_ours_costs_a_check() -> None:
    for path in ROOT.glob("services/*/queries.sql"):
        for name, statement in load_queries(path).items():
            assert leaves_session_alone(statement), f"{path.parent.name}: {name}"
