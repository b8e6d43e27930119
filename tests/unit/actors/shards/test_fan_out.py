"""A question to all shards: one answer in order, and who did not answer is never hidden."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from actors.shards.errors import InvalidCursorError, ShardsMissingError, ShardUnavailableError, UnitTimeoutError
from actors.shards.fan_out import FanOut
from actors.shards.shard_query import Combine, CombinedQuery, OrderBy, PageWanted, ShardQuery
from actors.shards.unit import UnitCall, UnitOutcome
from kernel.errors import SpazaError


class Thing(NamedTuple):
    id: str
    size: int


class Size(NamedTuple):
    things: int


LISTING = ShardQuery(
    "things.list", "SELECT id, size FROM spaza.thing WHERE kind = $1", Thing,
    (OrderBy("size", int, descending=True), OrderBy("id", str)),
)  # fmt: skip
TOTALS = CombinedQuery("things.totals", "SELECT count(*) AS things FROM spaza.thing", Size, {"things": Combine.COUNT})


class FakeShards:
    """Shards of things that sort and stop as PostgreSQL would; some are down."""

    def __init__(self, things: dict[int, list[Thing]], down: dict[int, SpazaError] | None = None) -> None:
        self.things, self.down = things, down or {}
        self.calls: list[UnitCall] = []
        self.timeout_s = 0.0

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        self.calls, self.timeout_s = list(calls), timeout_s
        return [self._one(call) for call in calls]

    def _one(self, call: UnitCall) -> UnitOutcome:
        if call.shard in self.down:
            return UnitOutcome(None, (), self.down[call.shard])
        things = self.things.get(call.shard, [])
        if call.name == TOTALS.name:
            return UnitOutcome([(len(things),)], (), None)
        wanted: PageWanted = call.arguments
        rows = sorted(things, key=lambda thing: (-thing.size, thing.id))
        if wanted.after is not None:
            size, id_ = wanted.after
            rows = [thing for thing in rows if (-thing.size, thing.id) > (-size, id_)]
        return UnitOutcome([tuple(thing) for thing in rows[: wanted.limit]], (), None)


THINGS = {shard: [Thing(f"{shard:02d}-{n}", (shard * 7 + n * 3) % 10) for n in range(5)] for shard in range(32)}


async def test_pages_one_after_the_other_are_all_rows_in_order_and_each_once() -> None:
    shards, every, cursor = FakeShards(THINGS), list[Thing](), None
    while True:
        page = await FanOut(shards).page(LISTING, "k", limit=7, cursor=cursor, timeout_s=1.0)
        every += page.rows
        cursor = page.next_cursor
        if cursor is None:
            break

    expected = sorted((thing for things in THINGS.values() for thing in things), key=lambda one: (-one.size, one.id))
    assert every == expected
    assert shards.timeout_s == 1.0


async def test_every_shard_is_asked_once_without_a_tenant_and_for_one_row_more_than_the_page() -> None:
    shards = FakeShards(THINGS)

    await FanOut(shards).page(LISTING, "k", limit=3, timeout_s=1.0)

    assert [call.shard for call in shards.calls] == list(range(32))
    assert {(call.name, call.tenant_id) for call in shards.calls} == {("things.list", "")}
    assert shards.calls[0].arguments == PageWanted(("k",), None, 4)


async def test_a_page_that_holds_the_last_row_has_no_next() -> None:
    shards = FakeShards({4: [Thing("a", 1), Thing("b", 1)]})

    page = await FanOut(shards).page(LISTING, "k", limit=2, timeout_s=1.0)

    assert (page.rows, page.next_cursor, page.partial) == ([Thing("a", 1), Thing("b", 1)], None, False)


DOWN: dict[int, SpazaError] = {5: UnitTimeoutError("things.list", 5), 9: ShardUnavailableError(9, "no server")}


async def test_shards_that_failed_are_named_in_an_answer_that_may_be_partial() -> None:
    fan_out = FanOut(FakeShards(THINGS, DOWN))

    page = await fan_out.page(LISTING, "k", limit=1_000, timeout_s=1.0, partial=True)
    totals = await fan_out.combine(TOTALS, timeout_s=1.0, partial=True)

    assert page.partial
    assert (page.missing, totals.missing) == (DOWN, DOWN)
    assert {int(thing.id[:2]) for thing in page.rows} == {*range(32)} - {5, 9}
    assert totals.rows == [Size(150)]


async def test_otherwise_the_call_fails_and_names_them() -> None:
    with pytest.raises(ShardsMissingError, match="shards 05, 09") as raised:
        await FanOut(FakeShards(THINGS, DOWN)).page(LISTING, "k", limit=10, timeout_s=1.0)

    assert raised.value.shards == (5, 9)
    assert raised.value.retryable


async def test_no_answer_at_all_is_never_an_empty_one() -> None:
    down: dict[int, SpazaError] = {shard: ShardUnavailableError(shard, "gone") for shard in range(32)}

    with pytest.raises(ShardsMissingError):
        await FanOut(FakeShards(THINGS, down)).combine(TOTALS, timeout_s=1.0, partial=True)


async def test_figures_of_all_shards_become_one() -> None:
    assert (await FanOut(FakeShards(THINGS)).combine(TOTALS, timeout_s=1.0)).rows == [Size(160)]


async def test_a_bad_cursor_or_limit_is_refused_before_any_shard_is_asked() -> None:
    shards = FakeShards(THINGS)

    with pytest.raises(InvalidCursorError):
        await FanOut(shards).page(LISTING, "k", limit=10, cursor="nonsense", timeout_s=1.0)
    for limit in (0, -1, 1_001):
        with pytest.raises(ValueError, match="limit"):
            await FanOut(shards).page(LISTING, "k", limit=limit, timeout_s=1.0)

    assert shards.calls == []


class FakeTransaction:
    def __init__(self, rows: list[Any]) -> None:
        self.rows, self.asked = rows, list[tuple[Any, ...]]()

    async def fetch(self, *asked: Any) -> list[Any]:
        self.asked.append(asked)
        return self.rows


async def test_order_limit_and_the_place_to_begin_are_the_shards_own_work() -> None:
    transaction: Any = FakeTransaction([("a", 1)])
    uniform = ShardQuery(
        "q",
        "SELECT id, size FROM spaza.thing -- all",
        Thing,
        (OrderBy("size", int), OrderBy("id", str, any_collation=True)),
    )

    await LISTING.run(transaction, PageWanted(("k",), None, 11))
    await LISTING.run(transaction, PageWanted(("k",), (4, "x"), 11))
    await uniform.run(transaction, PageWanted((), (4, "x"), 11))

    first, second, third = transaction.asked
    inner = "SELECT id, size FROM spaza.thing WHERE kind = $1"
    assert first == (
        f'SELECT "id", "size" FROM (\n{inner}\n) AS found\nORDER BY "size" DESC, "id" COLLATE "C" LIMIT 11', "k",
    )  # fmt: skip
    assert 'WHERE ("size" < $2 OR "size" = $2 AND ("id" COLLATE "C") > ($3))' in second[0]
    assert second[1:] == ("k", 4, "x")
    assert 'WHERE ("size", "id") > ($1, $2)\nORDER BY "size", "id" LIMIT 11' in third[0]


async def test_a_null_in_the_order_is_an_error_and_no_wrong_page() -> None:
    transaction: Any = FakeTransaction([("a", None)])

    with pytest.raises(ValueError, match="null"):
        await LISTING.run(transaction, PageWanted(("k",), None, 11))
