"""Tenant scope: what a service reads and writes is a tenant's own schema or a shared table that row security guards.

A statement that names a table bare would find it by the search path, so in whatever schema comes first. Statements
stand in ``queries.sql`` alone, so that these tests see all of them. That a tenant sees nothing of another's is shown on
a real server in ``tests/contract/shards/test_tenant_isolation.py``.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel.sql import load_queries

ROOT = Path(__file__).resolve().parents[2]
QUERIES = sorted(ROOT.glob("services/*/queries.sql"))
MIGRATIONS = sorted((ROOT / "actors" / "shards" / "migrations").glob("*/*.sql"))
_TABLE = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(?:ONLY\s+|LATERAL\s+)?([\w.{}]+)(\s*\()?")
_STEERS = re.compile(
    r"set_config|current_tenant|search_path|\bset\s+(?:local\s+)?role\b|\btenant_[0-9a-f]{4,}", re.IGNORECASE
)


def unscoped(statement: str) -> list[str]:
    """The tables that a statement names without saying whose they are."""
    text = re.sub(r"--.*|extract\s*\([^)]*\)", "", statement, flags=re.IGNORECASE)
    steps = {*re.findall(r"(\w+)\s+AS\s+(?:NOT\s+)?(?:MATERIALIZED\s+)?\(", text)}
    return [
        name
        for name, is_call in _TABLE.findall(text)
        if not is_call and name != "SET" and name not in steps and not name.startswith(("{schema}.", "spaza."))
    ]


def statements() -> Iterator[tuple[str, str]]:
    for path in QUERIES:
        for name, text in load_queries(path).items():
            yield f"{path.parent.name}.{name}", text


@pytest.mark.parametrize(("name", "statement"), [*statements()], ids=[name for name, _ in statements()])
def test_a_statement_says_of_every_table_whose_it_is_and_leaves_the_tenant_to_the_transaction(
    name: str, statement: str
) -> None:
    assert unscoped(statement) == []
    assert not _STEERS.search(re.sub(r"--.*", "", statement)), name


def test_a_table_without_a_schema_is_found_and_a_step_of_a_statement_is_none() -> None:
    assert unscoped("SELECT 1 FROM product JOIN {schema}.profile ON true") == ["product"]
    assert unscoped("UPDATE product SET sku = ''") == ["product"]
    assert unscoped("WITH given AS MATERIALIZED (SELECT 1) SELECT 1 FROM given JOIN unnest($1::text[]) ON true") == []


def test_services_run_no_statement_but_those_of_their_files() -> None:
    for path in sorted((ROOT / "services").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if ast.unparse(node.func) in {"transaction.fetch", "transaction.fetchrow", "transaction.execute"}:
                statement = ast.unparse(node.args[0])
                assert re.fullmatch(r"(_QUERIES|_SQL)\['\w+'\]", statement), f"{path.relative_to(ROOT)}: {statement}"


def test_every_table_is_under_row_security_that_holds_for_its_owner_too_and_checks_what_is_written() -> None:
    tables, forced, checked = set(), set(), set()
    for path in MIGRATIONS:
        text = re.sub(r"--.*", "", path.read_text())
        tables |= {*re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?((?:spaza|\{schema\})\.\w+)", text)}
        forced |= {*re.findall(r"ALTER TABLE (\S+)[^;]*FORCE ROW LEVEL SECURITY", text)}
        checked |= {*re.findall(r"CREATE POLICY \w+ ON (\S+) TO spaza_app\s[^;]*current_tenant[^;]*WITH CHECK", text)}

    assert len(tables) > 8
    assert tables <= forced
    assert {table for table in tables if table.startswith("{schema}.")} <= checked
