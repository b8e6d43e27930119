"""Random units of random tenants over a few shared connections, and an account of everything seen that is another's."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from actors.shards.access import PoolLimits
from actors.shards.errors import UnitFailedError
from actors.shards.pool import ShardPools
from actors.shards.unit import Transaction, UnitCall, UnitFunction, UnitOutcome
from tests.contract.shards.calls import PRODUCT
from tests.contract.shards.conftest import SHARD

# Few connections, and few statements remembered on each, so that both change hands all the time.
LIMITS = PoolLimits(app_connections=2, statements=12)
_SHARED = (
    "INSERT INTO spaza.inbound_message (tenant_id, message_id, sent_at, kind, body, received_at)"
    " VALUES ($1, $2, now(), 'text', '', now())"
)
# What a unit may find when it begins: its own tenant, and a session as it was opened.
_SESSION = """
SELECT current_setting('app.current_tenant', true), current_user = session_user, current_setting('search_path'),
       (SELECT setting = reset_val FROM pg_settings WHERE name = 'work_mem'), pg_my_temp_schema() = 0,
       (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
       (SELECT count(*) FROM pg_prepared_statements WHERE from_sql), (SELECT count(*) FROM pg_listening_channels())
"""

# Statements whose rows all name a tenant: {other} is the schema of another one, and of that there is to be nothing.
READS = (
    "SELECT tenant_id FROM {schema}.product",
    "SELECT tenant_id FROM spaza.inbound_message",
    "SELECT tenant_id FROM spaza.inbound_message WHERE message_id >= $1",
    "SELECT DISTINCT tenant_id FROM spaza.inbound_message GROUP BY tenant_id HAVING count(*) > 0",
    "SELECT tenant_id FROM {other}.product",
    "SELECT max(tenant_id) FROM {other}.product HAVING count(*) > 0",
    "SELECT coalesce(b.tenant_id, a.tenant_id) FROM {schema}.product AS a FULL JOIN {other}.product AS b ON true",
    "SELECT tenant_id FROM {schema}.product UNION ALL SELECT tenant_id FROM {other}.product",
    "WITH theirs AS MATERIALIZED (SELECT * FROM {other}.product) SELECT tenant_id FROM theirs",
    "UPDATE {other}.product SET stock = 1 RETURNING tenant_id",
    "DELETE FROM {other}.product RETURNING tenant_id",
    "UPDATE {schema}.product SET stock = coalesce(stock, 0) + 1 RETURNING tenant_id",
    (
        "MERGE INTO {other}.product AS one USING {schema}.product AS two ON one.sku = two.sku"
        " WHEN MATCHED THEN UPDATE SET stock = 2 RETURNING one.tenant_id"
    ),
    "SELECT tenant_id FROM {other}.product FOR UPDATE",
)
# What no tenant may do.
REFUSED = (
    PRODUCT.replace("{schema}", "{other}"),
    "TRUNCATE {other}.product",
    "SET ROLE spaza_system",
    "CREATE TEMP TABLE stolen AS SELECT * FROM {schema}.product",
    "ALTER TABLE {schema}.product DISABLE ROW LEVEL SECURITY",
    "SET LOCAL row_security = off; SELECT * FROM {other}.product",
)
# What a faulty unit might leave behind for the next borrower of its connection.
LEAKS = (
    "SET app.current_tenant = '{tenant}'",
    "SELECT set_config('app.current_tenant', '{tenant}', false)",
    "SET search_path = {other}",
    "SET work_mem = '65kB'",
    "UPDATE pg_settings SET setting = '65' WHERE name = 'work_mem'",
    "SELECT pg_advisory_lock(7)",
    "PREPARE leak AS SELECT * FROM {other}.product",
    "LISTEN leak",
)


class Step(NamedTuple):
    """One unit: of which tenant, what it does, and against which other."""

    tenant: int
    other: int
    kind: str
    which: int


async def _step(transaction: Transaction, given: tuple[str, Step, int]) -> tuple[list[Any], list[Any]]:
    """What the unit found in its session, and the tenants of all rows that it saw."""
    other, step, number = given
    session = list(await transaction.fetchrow(_SESSION))

    def text(one: str) -> str:
        return one.replace("{other}", f"tenant_{other}").replace("{tenant}", other)

    seen: list[Any] = []
    match step.kind:
        case "add":
            await transaction.execute(PRODUCT, f"{transaction.tenant_id}-{number}")
            await transaction.execute(_SHARED, transaction.tenant_id, f"{number}")
        case "read":
            one = text(READS[step.which % len(READS)])
            seen = [row[0] for row in await transaction.fetch(one, *([""] if "$1" in one else []))]
        case "steered":
            await transaction.execute(text("SET LOCAL search_path = {other}"))
            seen = [row[0] for row in await transaction.fetch("SELECT tenant_id FROM product")]
        case "refused":
            one = text(REFUSED[step.which % len(REFUSED)])
            await transaction.execute(one, *(["x"] if "$1" in one else []))
        case "fail":
            await transaction.execute(PRODUCT, f"failed-{number}")
            await transaction.execute("SELECT 1/0")
        case "leak":
            await transaction.execute(text(LEAKS[step.which % len(LEAKS)]))
    return session, seen


UNITS: dict[str, UnitFunction] = {"step": _step}


class Account(NamedTuple):
    """What went wrong, as sentences; empty is as it should be."""

    faults: list[str]
    leaks_planted: int


async def run_steps(pools: ShardPools, tenants: Sequence[str], calls: Sequence[Sequence[Step]], first: int) -> Account:
    """Run calls at once, and hold each unit's account against whose it was.

    Args:
        pools: over ``UNITS``.
        tenants: that steps speak of by their place.
        calls: of any number of units each.
        first: for numbering what is added.
    """
    number = first
    running, whose = [], []
    for steps in calls:
        units = []
        for step in steps:
            number += 1
            tenant, other = tenants[step.tenant], tenants[step.other]
            units.append(UnitCall("step", SHARD, tenant, (other, step, number)))
        whose.append(list(zip(steps, units, strict=True)))
        running.append(pools.run(units, 120.0))
    outcomes = await asyncio.gather(*running)
    faults: list[str] = []
    for expected, answered in zip(whose, outcomes, strict=True):
        for (step, call), outcome in zip(expected, answered, strict=True):
            faults += _faults(step, call, outcome)
    return Account(faults, sum(step.kind == "leak" for steps in calls for step in steps))


def _faults(step: Step, call: UnitCall, outcome: UnitOutcome) -> list[str]:
    if step.kind in {"refused", "fail"}:
        return [] if isinstance(outcome.error, UnitFailedError) else [f"{step} was let through: {outcome}"]
    if outcome.error is not None:
        return [f"{step} failed: {outcome.error}"]
    session, seen = outcome.value
    found = []
    if session != [call.tenant_id, True, '"$user", public', True, True, 0, 0, 0]:
        found.append(f"{step} of {call.tenant_id} found a session that is not clean: {session}")
    if any(tenant != call.tenant_id for tenant in seen):
        found.append(f"{step} of {call.tenant_id} saw rows of {set(seen) - {call.tenant_id}}")
    return found
