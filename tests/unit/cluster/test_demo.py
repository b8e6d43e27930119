"""The demo merchant's shelf."""

from cluster.demo import MERCHANT, PHONE_NUMBER_ID, demo_products, provision_demo
from services.catalog.schemas import ProductSpec
from services.tenants.schemas import ProvisionedTenant, TenantSpec


def test_the_shelf_holds_thirty_products_with_the_fixed_skus_first() -> None:
    products = demo_products()

    skus = [product.sku for product in products]

    assert len(set(skus)) == 30
    assert {"bread-white", "milk-2l", "maize-meal-5kg"} <= set(skus)


def test_prices_are_cents_of_the_rand_as_a_corner_shop_asks_them() -> None:
    for product in demo_products():
        assert product.price.currency == "ZAR"
        assert 500 <= product.price.amount <= 10_000, product.sku
        assert product.category, product.sku
        assert product.description, product.sku


def test_the_merchant_is_the_one_that_others_rely_on() -> None:
    assert MERCHANT.name == "Thandi's Spaza"
    assert [number.phone_number_id for number in MERCHANT.phone_numbers] == [PHONE_NUMBER_ID]
    assert (MERCHANT.location.lat, MERCHANT.location.lon) == (-26.2485, 27.8540)


class _Provisioning:
    def __init__(self) -> None:
        self.keys: list[str] = []

    async def provision(self, spec: TenantSpec, *, idempotency_key: str) -> ProvisionedTenant:
        self.keys.append(idempotency_key)
        return ProvisionedTenant(tenant_id="f" * 32, shard_id=7)


class _Products:
    def __init__(self) -> None:
        self.written: list[tuple[str, int, int]] = []

    async def upsert_products(
        self, tenant_id: str, shard: int, products: list[ProductSpec], *, timeout_s: float = 10.0
    ) -> int:
        self.written.append((tenant_id, shard, len(products)))
        return len(products)


async def test_provisioning_twice_asks_for_the_same_merchant() -> None:
    provisioning, products = _Provisioning(), _Products()

    await provision_demo(provisioning, products)
    demo = await provision_demo(provisioning, products)

    assert demo.products == 30
    assert len(set(provisioning.keys)) == 1
    assert products.written == [("f" * 32, 7, 30)] * 2
