from typing import Any

import pytest

from actors.shards.errors import WrongTenantError
from actors.shards.transaction import ShardTransaction, begin_statement, schema_of

TENANT = "0199" + "a" * 28


class FakeConnection:
    def __init__(self) -> None:
        self.statements: list[str] = []
        self.suspected = False

    def suspect(self) -> None:
        self.suspected = True

    async def fetch(self, statement: str, *_arguments: Any) -> list[Any]:
        self.statements.append(statement)
        return []


@pytest.mark.parametrize(
    "tenant_id",
    [
        "x",
        TENANT.upper(),
        TENANT[:-1],
        f"{TENANT}0",
        f"{TENANT[:-1]}'",
        f"{TENANT}\n",
        "'; DROP TABLE t; --",
        "a" * 31 + "é",
    ],
)
def test_what_is_not_a_tenants_id_comes_into_no_statement(tenant_id: str) -> None:
    with pytest.raises(WrongTenantError):
        begin_statement(tenant_id)
    with pytest.raises(WrongTenantError):
        schema_of(tenant_id)


def test_a_transaction_begins_with_its_tenant_in_one_text() -> None:
    assert begin_statement(TENANT) == f"BEGIN; RESET ALL; SELECT set_config('app.current_tenant', '{TENANT}', true)"
    assert begin_statement("") == "BEGIN; RESET ALL"


def test_what_only_reads_begins_with_what_a_standby_has_to_have_replayed() -> None:
    tenant = f"set_config('app.current_tenant', '{TENANT}', true)"
    fresh = "1 / (NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= '0/30A8'::pg_lsn)::int"

    begin = begin_statement(TENANT, only_reads=True, position_needed="0/30A8")

    assert begin == f"BEGIN READ ONLY; RESET ALL; SELECT {tenant}, {fresh}"
    assert begin_statement("", only_reads=True) == "BEGIN READ ONLY; RESET ALL"
    for wrong in ("", "0/30a8", "0/30A8'", "0/123456789"):
        with pytest.raises(ValueError, match="hexadecimal"):
            begin_statement(TENANT, only_reads=True, position_needed=wrong)
    with pytest.raises(ValueError, match="locks"):
        begin_statement(TENANT, (1,), only_reads=True)


def test_locks_are_taken_in_ascending_order_in_the_text_that_begins() -> None:
    text = f"BEGIN; RESET ALL; SELECT set_config('app.current_tenant', '{TENANT}', true)"
    ordered = "pg_advisory_xact_lock(-9223372036854775808), pg_advisory_xact_lock(0), pg_advisory_xact_lock(7)"

    assert begin_statement(TENANT, (7, -(2**63), 0)) == f"{text}, {ordered}"
    assert begin_statement("", (7,)) == "BEGIN; RESET ALL; SELECT pg_advisory_xact_lock(7)"
    assert all(part.count("(") <= 1_000 for part in begin_statement(TENANT, range(2_500)).split(";"))


@pytest.mark.parametrize("lock", ["1); DROP TABLE t; --", "1", 1.5, True, None, 2**63, -(2**63) - 1])
def test_what_is_no_64_bit_integer_comes_into_no_statement(lock: Any) -> None:
    with pytest.raises(ValueError, match="64-bit"):
        begin_statement(TENANT, (lock,))


async def test_the_placeholder_becomes_the_tenants_schema() -> None:
    connection = FakeConnection()

    await ShardTransaction(connection, 3, TENANT, None).fetch("SELECT * FROM {schema}.product WHERE a = '{}'")

    assert connection.statements == [f"SELECT * FROM tenant_{TENANT}.product WHERE a = '{{}}'"]
    assert not connection.suspected


async def test_a_system_unit_has_no_schema() -> None:
    with pytest.raises(RuntimeError, match="no tenant's schema"):
        await ShardTransaction(FakeConnection(), 3, "", None).fetch("SELECT * FROM {schema}.product")


async def test_a_statement_that_may_change_the_session_is_noted() -> None:
    connection = FakeConnection()

    await ShardTransaction(connection, 3, TENANT, None).fetch("SET app.current_tenant = 'x'")

    assert connection.suspected


async def test_a_unit_that_has_ended_reaches_its_connection_no_more() -> None:
    connection = FakeConnection()
    transaction = ShardTransaction(connection, 3, TENANT, None)
    transaction.is_over = True

    for left_behind in (
        transaction.fetch("SELECT 1"),
        transaction.fetchrow("SELECT 1"),
        transaction.execute("SET app.current_tenant = 'x'"),
        transaction.publish("exchange", "key", []),
        transaction.execute_and_publish("WITH {publish}", exchange="exchange", routing_key="key", messages=[]),
    ):
        with pytest.raises(RuntimeError, match="has ended"):
            await left_behind

    assert connection.statements == []
    assert not connection.suspected


async def test_publishing_without_a_topology_is_refused() -> None:
    transaction = ShardTransaction(FakeConnection(), 3, TENANT, None)

    with pytest.raises(RuntimeError, match="without a"):
        await transaction.publish("exchange", "key", [])
    with pytest.raises(RuntimeError, match="without a"):
        await transaction.execute_and_publish("WITH {publish}", exchange="exchange", routing_key="key", messages=[])


async def test_a_statement_that_has_no_place_for_publishing_is_refused() -> None:
    with pytest.raises(ValueError, match="publish"):
        await ShardTransaction(FakeConnection(), 3, TENANT, None).execute_and_publish(
            "INSERT INTO {schema}.product DEFAULT VALUES", exchange="exchange", routing_key="key", messages=[]
        )
