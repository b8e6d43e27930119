from pathlib import Path

import pytest

from actors.shards.session import ends_transaction, leaves_session_alone
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
        r"""SELECT U&"set\005fconfig"('work_mem', '65', false)""",
    ],
)
def test_what_may_change_the_session_is_checked_on_release(statement: str) -> None:
    assert not leaves_session_alone(statement)


def test_no_statement_of_a_unit_of_ours_costs_a_check() -> None:
    for path in ROOT.glob("services/*/queries.sql"):
        for name, statement in load_queries(path).items():
            assert leaves_session_alone(statement), f"{path.parent.name}: {name}"


@pytest.mark.parametrize(
    "statement",
    [
        "COMMIT AND CHAIN",
        "-- why\n/* and how */ commit and chain",
        "ROLLBACK",
        "rollback work and chain",
        "SELECT 1; END",
        "SELECT 'a\\'; COMMIT",
        r"SELECT E'\''; COMMIT AND CHAIN; SELECT ''",
        "DO $x$ BEGIN PERFORM 1; END $x$; COMMIT",
        "START TRANSACTION",
        "PREPARE TRANSACTION 'x'",
    ],
)
def test_a_text_that_ends_its_transaction_is_known(statement: str) -> None:
    assert ends_transaction(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "DO $$ BEGIN PERFORM 1; END $$",
        "SET LOCAL search_path = x",
        "SELECT '; COMMIT'; SELECT 2",
        'SELECT 1 AS "; COMMIT"; SELECT 2',
        "SELECT 1; -- COMMIT",
        "SAVEPOINT here",
        "ROLLBACK TO SAVEPOINT here",
        "ROLLBACK WORK TO here",
        "PREPARE x AS SELECT 1",
    ],
)
def test_a_text_that_leaves_its_transaction_alone_is_let_through(statement: str) -> None:
    assert not ends_transaction(statement)
