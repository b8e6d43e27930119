from collections.abc import Sequence

import pytest
from pydantic import ValidationError

from actors.shards.unit import UnitCall, UnitOutcome
from services.catalog.schemas import Money, ProductSpec
from services.catalog.service import Catalog


class FakeShards:
    def __init__(self) -> None:
        self.calls: list[UnitCall] = []

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        self.calls += calls
        return [UnitOutcome(len(call.arguments), (), None) for call in calls]


def _product(sku: str) -> ProductSpec:
    return ProductSpec(sku=sku, name="White bread", price=Money(amount=1999))


async def test_products_of_a_merchant_are_one_unit_on_its_shard() -> None:
    shards = FakeShards()

    changed = await Catalog(shards).upsert_products("a" * 32, 4, [_product("bread-white"), _product("milk-2l")])

    assert changed == 2
    (call,) = shards.calls
    assert (call.shard, call.tenant_id, len(call.arguments)) == (4, "a" * 32, 2)


async def test_no_products_are_no_unit() -> None:
    shards = FakeShards()

    assert await Catalog(shards).upsert_products("a" * 32, 4, []) == 0
    assert shards.calls == []


async def test_a_sku_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="same sku"):
        await Catalog(FakeShards()).upsert_products("a" * 32, 4, [_product("x"), _product("x")])
