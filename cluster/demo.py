"""The demo merchant: a corner shop in Soweto with what such shops sell."""

from importlib import resources
from typing import Final, NamedTuple, Protocol

import yaml
from pydantic import SecretStr

from services.catalog.schemas import Money, ProductSpec
from services.tenants.schemas import Location, PhoneNumber, ProvisionedTenant, TenantSpec, WhatsAppAccount

PHONE_NUMBER_ID: Final = "100000000000001"
ACCESS_TOKEN: Final = "sandbox-access-token"  # noqa: S105 - the sandbox's own, of no use anywhere else
MERCHANT: Final = TenantSpec(
    name="Thandi's Spaza",
    phone_numbers=(PhoneNumber(phone_number_id=PHONE_NUMBER_ID, display_phone_number="+27110000001"),),
    location=Location(lat=-26.2485, lon=27.8540),
    whatsapp=WhatsAppAccount(access_token=SecretStr(ACCESS_TOKEN), waba_id="200000000000001"),
)


class Provisioning(Protocol):
    """Makes tenants."""

    async def provision(self, spec: TenantSpec, *, idempotency_key: str) -> ProvisionedTenant:
        """Make it, or say that it is there."""


class Products(Protocol):
    """Keeps products."""

    async def upsert_products(
        self, tenant_id: str, shard: int, products: list[ProductSpec], *, timeout_s: float = 10.0
    ) -> int:
        """Write them; returns how many were new or changed."""


class Demo(NamedTuple):
    """What there is to try."""

    name: str
    products: int


def demo_products() -> list[ProductSpec]:
    """The shop's shelf."""
    declared = yaml.safe_load(resources.files("cluster").joinpath("demo_products.yaml").read_text(encoding="utf-8"))
    return [
        ProductSpec(price=Money(amount=one.pop("price_minor"), currency="ZAR"), **one) for one in declared["products"]
    ]


async def provision_demo(provisioning: Provisioning, catalog: Products) -> Demo:
    """Make the merchant and fill the shelf. Again changes nothing."""
    tenant = await provisioning.provision(MERCHANT, idempotency_key="demo-merchant")
    products = demo_products()
    await catalog.upsert_products(tenant.tenant_id, tenant.shard_id, products)
    return Demo(MERCHANT.name, len(products))
