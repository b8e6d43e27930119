"""The use cases of the catalogue, over a double of the shards."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from actors.shards.errors import ShardUnavailableError
from actors.shards.unit import UnitCall, UnitOutcome
from config.routes_file import load_routes
from gateway.chain import Parts, chained
from kernel.errors import SpazaError
from services.catalog.errors import UnknownProductError
from services.catalog.ports import Shelf
from services.catalog.routes import ProductsApi
from services.catalog.schemas import BATCH_AT_MOST, BatchVerdict, Money, ProductBody, ProductSpec
from services.catalog.service import Catalog
from services.catalog.store import UPSERT_PRODUCTS, Written
from tests.gateway import Watch
from tests.memory_search import InMemoryProductSearch
from tests.unit.gateway.bench import answered
from tests.unit.gateway.callers import FakeCredentials, bearer, credential, token
from tests.unit.gateway.test_rate_limiting import LedgerLimiter

SHELF = Shelf("a" * 32, 4)


class FakeShards:
    """Has written what it is told to have; otherwise everything new."""

    def __init__(self) -> None:
        self.calls: list[UnitCall] = []
        self.value: Any = None
        self.error: SpazaError | None = None

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        self.calls += calls
        return [UnitOutcome(self._value(call), (), self.error) for call in calls]

    def _value(self, call: UnitCall) -> Any:
        if call.name == UPSERT_PRODUCTS and self.value is None:
            return Written(frozenset(one.row.sku for one in call.arguments), frozenset())
        return self.value


@pytest.fixture
def shards() -> FakeShards:
    return FakeShards()


@pytest.fixture
def catalog(shards: FakeShards) -> Catalog:
    return Catalog(shards, InMemoryProductSearch((0, 0)))


def _product(sku: str) -> ProductSpec:
    return ProductSpec(sku=sku, name="White bread", price=Money(amount=1999))


def _document(sku: str, **changes: Any) -> dict[str, Any]:
    return {"sku": sku, "name": "White bread", "price": {"amount": 1999}, **changes}


async def test_products_of_a_merchant_are_one_unit_on_its_shard(catalog: Catalog, shards: FakeShards) -> None:
    changed = await catalog.upsert_products(*SHELF[:2], [_product("bread-white"), _product("milk-2l")])

    assert changed == 2
    (call,) = shards.calls
    assert (call.shard, call.tenant_id, len(call.arguments)) == (4, "a" * 32, 2)


async def test_no_products_are_no_unit(catalog: Catalog, shards: FakeShards) -> None:
    assert await catalog.upsert_products(*SHELF[:2], []) == 0
    assert shards.calls == []


async def test_a_sku_twice_is_refused(catalog: Catalog) -> None:
    with pytest.raises(ValidationError, match="same sku"):
        await catalog.upsert_products(*SHELF[:2], [_product("x"), _product("x")])


async def test_a_product_is_new_or_put_in_place_of_the_one_before(catalog: Catalog, shards: FakeShards) -> None:
    body = ProductBody(name="White bread", price=Money(amount=1999), sku="x")

    product, is_new = await catalog.put(SHELF, "x", body)
    shards.value = Written(frozenset(), frozenset({"x"}))
    _, is_new_again = await catalog.put(SHELF, "x", body)

    assert product.model_dump() == _product("x").model_dump()
    assert (is_new, is_new_again) == (True, False)


async def test_what_is_not_there_can_be_neither_read_nor_taken_away(catalog: Catalog) -> None:
    with pytest.raises(UnknownProductError):
        await catalog.get(SHELF, "x")
    with pytest.raises(UnknownProductError):
        await catalog.delete(SHELF, "x")


async def test_a_batch_says_of_each_what_became_of_it_and_one_that_is_wrong_keeps_no_other_out(
    catalog: Catalog, shards: FakeShards
) -> None:
    shards.value = Written(frozenset({"new"}), frozenset({"changed"}))

    answer = await catalog.put_batch(
        SHELF,
        [
            _document("new"), _document("changed"), _document("same"), _document("new"),
            _document("wrong", price={"amount": 19.99}, colour="red"), _document("no sku!"), "nonsense", {},
        ],
    )  # fmt: skip

    assert [one.status for one in answer.results] == ["created", "updated", "unchanged"] + ["refused"] * 5
    assert (answer.created, answer.updated, answer.unchanged, answer.refused) == (1, 1, 1, 5)
    assert [one.index for one in answer.results] == [*range(8)]
    assert [one.sku for one in answer.results[3:]] == ["new", "wrong", "no sku!", None, None]
    assert _fields(answer.results[4]) == ["price.amount", "colour"]
    assert _fields(answer.results[7]) == ["sku", "name", "price"]
    (call,) = shards.calls
    assert [one.row.sku for one in call.arguments] == ["new", "changed", "same"]


async def test_a_batch_in_which_nothing_is_right_is_no_unit(catalog: Catalog, shards: FakeShards) -> None:
    answer = await catalog.put_batch(SHELF, [{}] * BATCH_AT_MOST)

    assert answer.refused == BATCH_AT_MOST
    assert shards.calls == []


async def test_a_shard_that_is_away_is_said_to_be(catalog: Catalog, shards: FakeShards) -> None:
    shards.error = ShardUnavailableError(4, "away")

    with pytest.raises(ShardUnavailableError):
        await catalog.put_batch(SHELF, [_document("x")])


async def test_of_faults_without_end_some_are_named_and_of_each_product_something() -> None:
    unknown = {f"field_{number}": 0 for number in range(100)}

    answer = await Catalog(FakeShards(), InMemoryProductSearch((0, 0))).put_batch(
        SHELF, [_document(f"s{number}", **unknown) for number in range(BATCH_AT_MOST)]
    )

    assert answer.refused == BATCH_AT_MOST
    assert _fields(answer.results[0]) == list(unknown)
    assert all(one.errors for one in answer.results)
    assert sum(len(one.errors or ()) for one in answer.results) <= 4 * BATCH_AT_MOST


async def test_others_are_served_while_a_long_batch_is_looked_at(catalog: Catalog) -> None:
    served = 0

    async def others() -> None:
        nonlocal served
        while True:
            served += 1
            await asyncio.sleep(0)

    text = "wörter " * 700
    task = asyncio.create_task(others())
    await catalog.put_batch(SHELF, [_document(f"s{number}", description=text) for number in range(100)])
    task.cancel()

    assert served > 2


def _fields(verdict: BatchVerdict) -> list[str]:
    return [one.field for one in verdict.errors or ()]


async def test_a_shard_is_not_asked_for_an_answer_that_cannot_come_in_time(
    catalog: Catalog, shards: FakeShards
) -> None:
    parts = Parts(Watch(), LedgerLimiter(), credentials=FakeCredentials(credential("k1")))
    products = load_routes().routes["products"]

    for timeout_s, status in ((0.009, 504), (30.0, 404)):
        api = ProductsApi(catalog)
        chain = chained(api, products.model_copy(update={"timeout_s": timeout_s}), parts, api.operations)
        headers = [*bearer(token(exp=4e9)), ("X-Correlation-ID", "mine")]
        answer = await answered(chain, "GET", "/bread-white", headers=headers)
        assert answer.status == status
        assert [call.correlation_id for call in shards.calls] == ["mine"] * (status == 404)
