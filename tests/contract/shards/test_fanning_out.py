"""One question to all 32 databases: sorted by them, merged here, with the collations and types that they have."""

import asyncio
import datetime as dt
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from actors.shards.errors import ShardsMissingError, UnitTimeoutError
from actors.shards.fan_out import FanOut
from actors.shards.pool import ShardPools
from actors.shards.shard_query import Combine, CombinedQuery, OrderBy, ShardQuery
from actors.shards.unit import Transaction, UnitCall, UnitFunction, UnitOutcome
from tests.contract.shards.conftest import MakePools

PREFIX = "fan-out:"
NAMES = ["apple", "Apple", "äpfel", "zebra", "Zebra", "_", "1", "10", "2", "", "𝄞", "\uffff", "a b", "ab"]


class Asked(NamedTuple):
    key: str
    tenant_id: str
    requested_at: dt.datetime


class Totals(NamedTuple):
    tenant_id: str
    requests: int
    length: int | None
    first: str
    last: str


_STATEMENT = (
    "SELECT tenant_id, requested_at, substr(idempotency_key, 9) AS key FROM spaza.tenant_request"
    " WHERE starts_with(idempotency_key, $1) -- of these tests"
)
BY_KEY = ShardQuery("asked.by_key", _STATEMENT, Asked, (OrderBy("key", str),))
LATEST = ShardQuery(
    "asked.latest", _STATEMENT, Asked,
    (OrderBy("requested_at", dt.datetime, descending=True), OrderBy("tenant_id", str), OrderBy("key", str)),
)  # fmt: skip
TOTALS = CombinedQuery(
    "asked.totals",
    "SELECT tenant_id, count(*) AS requests, sum(length(idempotency_key)) AS length,"
    ' min(idempotency_key COLLATE "C") AS first, max(idempotency_key COLLATE "C") AS last'
    " FROM spaza.tenant_request WHERE starts_with(idempotency_key, $1) GROUP BY tenant_id",
    Totals,
    {"requests": Combine.COUNT, "length": Combine.SUM, "first": Combine.MIN, "last": Combine.MAX},
)


async def _fill(transaction: Transaction, rows: Sequence[Asked]) -> None:
    for row in rows:
        await transaction.execute(
            "INSERT INTO spaza.tenant_request (idempotency_key, tenant_id, fingerprint, requested_at)"
            " VALUES ($1, $2, '', $3) ON CONFLICT DO NOTHING",
            f"{PREFIX}{row.key}", row.tenant_id, row.requested_at,
        )  # fmt: skip


async def _slow_on_five(transaction: Transaction, _arguments: None) -> int:
    if transaction.shard == 5:
        await transaction.execute("SELECT pg_sleep(29)")
    return transaction.shard


UNITS: dict[str, UnitFunction] = {
    BY_KEY.name: BY_KEY.run, LATEST.name: LATEST.run, TOTALS.name: TOTALS.run, "fill": _fill, "slow": _slow_on_five,
}  # fmt: skip


class Runner:
    """The pools behind the port that services use."""

    def __init__(self, pools: ShardPools) -> None:
        self._pools = pools

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        return await self._pools.run(calls, timeout_s)


@pytest.fixture
async def filled(make_pools: MakePools) -> tuple[FanOut, list[Asked]]:
    runner, dice = Runner(make_pools(UNITS)), random.Random(5)
    start = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
    rows = [
        Asked(f"{name}{number}", f"t{number % 3}", start + dt.timedelta(seconds=dice.randrange(20)))
        for number, name in enumerate(NAMES * 12)
    ]
    dice.shuffle(rows)
    # The same rows in every test: what is there stays.
    calls = [UnitCall("fill", shard, "", rows[shard::32]) for shard in range(32)]
    assert all(outcome.error is None for outcome in await runner.run(calls, timeout_s=60.0))
    return FanOut(runner), rows


async def _all(fan_out: FanOut, query: ShardQuery[Asked], limit: int) -> list[Asked]:
    found: list[Asked] = []
    cursor = None
    while True:
        page = await fan_out.page(query, PREFIX, limit=limit, cursor=cursor, timeout_s=60.0)
        assert len(page.rows) <= limit
        found += page.rows
        if page.next_cursor is None:
            return found
        cursor = page.next_cursor


@pytest.mark.parametrize("limit", [1_000, 7])
async def test_texts_of_any_kind_come_in_one_order_page_by_page(filled: tuple[FanOut, list[Asked]], limit: int) -> None:
    fan_out, rows = filled

    assert await _all(fan_out, BY_KEY, limit) == sorted(rows, key=lambda row: row.key)


async def test_an_order_that_goes_both_ways_with_ties_loses_and_doubles_no_row(
    filled: tuple[FanOut, list[Asked]],
) -> None:
    fan_out, rows = filled

    found = await _all(fan_out, LATEST, 10)

    assert found == sorted(rows, key=lambda row: (-row.requested_at.timestamp(), row.tenant_id, row.key))


async def test_rows_that_come_and_go_between_pages_move_no_other(filled: tuple[FanOut, list[Asked]]) -> None:
    fan_out, rows = filled
    in_order = sorted(rows, key=lambda row: row.key)
    first = await fan_out.page(BY_KEY, PREFIX, limit=20, timeout_s=60.0)
    # As if all rows of the first page had gone: the place is a value, not a row.
    second = await fan_out.page(BY_KEY, PREFIX, limit=20, cursor=first.next_cursor, timeout_s=60.0)

    assert first.rows + second.rows == in_order[:40]


async def test_figures_of_all_databases_are_combined_group_by_group(filled: tuple[FanOut, list[Asked]]) -> None:
    fan_out, rows = filled

    totals = await fan_out.combine(TOTALS, PREFIX, timeout_s=60.0)

    expected = []
    for tenant in ("t0", "t1", "t2"):
        keys = [f"{PREFIX}{row.key}" for row in rows if row.tenant_id == tenant]
        expected.append(Totals(tenant, len(keys), sum(map(len, keys)), min(keys), max(keys)))
    assert sorted(totals.rows) == expected


async def test_a_shard_that_is_too_slow_is_named_and_the_others_answers_come_at_the_deadline(
    filled: tuple[FanOut, list[Asked]],
) -> None:
    fan_out, _ = filled
    started = asyncio.get_running_loop().time()

    answers = await fan_out.each("slow", None, timeout_s=5.0, partial=True)

    assert asyncio.get_running_loop().time() - started < 29.0
    assert {shard: type(error) for shard, error in answers.missing.items()} == {5: UnitTimeoutError}
    assert dict(answers.values) == {shard: shard for shard in range(32) if shard != 5}
    with pytest.raises(ShardsMissingError, match=r"shards .*05"):
        await fan_out.each("slow", None, timeout_s=2.0)


async def test_a_limit_reaches_the_index(filled: tuple[FanOut, list[Asked]], make_pools: MakePools) -> None:
    async def explain(transaction: Transaction, _arguments: Any) -> str:
        asked: list[Any] = []

        class Explaining:
            async def fetch(self, text: str, *arguments: Any) -> list[Any]:
                asked.append((text, arguments))
                return []

        query = ShardQuery(
            "q", "SELECT tenant_id, name FROM spaza.tenant_placement WHERE $1 = ''", NamedRow,
            (OrderBy("tenant_id", str, descending=True, any_collation=True),),
        )  # fmt: skip
        explaining: Any = Explaining()
        await query.run(explaining, query_wanted)
        await transaction.execute("SET LOCAL enable_seqscan = off")
        ((text, arguments),) = asked
        return "\n".join(row[0] for row in await transaction.fetch(f"EXPLAIN {text}", *arguments))

    class NamedRow(NamedTuple):
        tenant_id: str
        name: str

    from actors.shards.shard_query import PageWanted

    query_wanted = PageWanted(("",), ("f" * 32,), 50)
    outcome = (await make_pools({"explain": explain}).run([UnitCall("explain", 1, "", None)], 60.0))[0]

    plan = outcome.unwrap()
    assert "Index Scan Backward" in plan
    assert "Sort" not in plan
