"""A product as it comes in."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Sku = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Money(_Schema):
    """An amount in minor units: 1999 ZAR are R19.99."""

    amount: int = Field(ge=0, le=10**12)
    currency: Currency = "ZAR"


class ProductLocation(_Schema):
    lat: float = Field(ge=-90, le=90)
    lon: float = Field(ge=-180, le=180)


class ProductSpec(_Schema):
    """One product. Without a location it is where its merchant is; without a stock it is not counted."""

    sku: Sku
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    price: Money
    description: Annotated[str, StringConstraints(max_length=5000)] = ""
    stock: int | None = Field(default=None, ge=0, le=10**9)
    location: ProductLocation | None = None
    category: Annotated[str, StringConstraints(max_length=100)] | None = None
    image_url: Annotated[str, StringConstraints(pattern=r"^https?://", max_length=2000)] | None = None


class ProductBatch(_Schema):
    """Products of one merchant, each once."""

    products: tuple[ProductSpec, ...] = Field(max_length=1000)

    @model_validator(mode="after")
    def _skus_differ(self) -> Self:
        if len({product.sku for product in self.products}) < len(self.products):
            raise ValueError("products: the same sku stands there twice")
        return self
