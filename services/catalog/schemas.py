"""Products as they come in and as they are answered, checked at the edge.

Everything that a caller names is bounded, and what is not known is refused with its name. Money and stock are whole
numbers, never texts or fractions that would be rounded on the way.
"""

from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SkipValidation,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from pydantic import model_validator as check_whole

BATCH_AT_MOST = 1_000
PAGE_AT_MOST = 500


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold the character NUL")
    return text


Sku = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="1 to 100 letters, digits, dots, dashes and underscores; begins with a letter or a digit",
        examples=["maize-meal-5kg"],
    ),
]
# They are calls of their own under the same path.
_TAKEN = frozenset({"batch", "sync"})


def _free(sku: str) -> str:
    if sku in _TAKEN:
        raise ValueError(f"must not be {sku}, under which products are called together; choose another")
    return sku


NewSku = Annotated[Sku, AfterValidator(_free)]
# Those in which a gateway takes payments.
Currency = Literal["GHS", "KES", "NGN", "USD", "ZAR"]
_Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_storable)
]
_Description = Annotated[str, StringConstraints(max_length=5000), AfterValidator(_storable)]
_Category = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_storable)
]
_ImageUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s\x00]+$", max_length=2000)]
_Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
_Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Money(_Schema):
    """An amount in minor units: 1999 ZAR are R19.99."""

    amount: int = Field(ge=0, le=10**12, strict=True)
    currency: Currency = "ZAR"


class ProductLocation(_Schema):
    """Where a product is, in degrees."""

    lat: Annotated[_Latitude, Field(strict=True)]
    lon: Annotated[_Longitude, Field(strict=True)]


class ProductFields(_Schema):
    """What a product is. Without a location it is where its merchant is; without a stock it is not counted."""

    name: _Name
    price: Money
    description: _Description = ""
    stock: int | None = Field(default=None, ge=0, le=10**9, strict=True)
    location: ProductLocation | None = None
    category: _Category | None = None
    image_url: _ImageUrl | None = None


class _UnderSku(_Schema):
    sku: NewSku


# The sku is the first of its fields.
class ProductSpec(ProductFields, _UnderSku):
    """One product with its sku."""


class ProductBody(ProductFields):
    """A product that is put under the sku of its path. The sku may be named again, and is then the same."""

    sku: NewSku | None = None


class ProductBatch(_Schema):
    """Products of one merchant, each once."""

    products: tuple[ProductSpec, ...] = Field(max_length=BATCH_AT_MOST)

    @check_whole(mode="after")
    def _skus_differ(self) -> Self:
        if len({product.sku for product in self.products}) < len(self.products):
            raise ValueError("products: the same sku stands there twice")
        return self


class BatchRequest(_Schema):
    """Products of one merchant, looked at one by one, so that one that is wrong keeps no other out."""

    products: list[SkipValidation[ProductSpec]] = Field(min_length=1, max_length=BATCH_AT_MOST)


class ProductPath(_Schema):
    """Which product."""

    sku: Sku


class NewProductPath(_Schema):
    """Which product is put."""

    sku: NewSku


class ListQuery(_Schema):
    """Which products: all of them, those that a text finds, or those around a place.

    Attributes:
        q: words; a product is found that has each of them in its name or description, or one that begins with it.
        lat: with ``lon``: only what is within ``radius_km`` of there, and how far each is.
        cursor: ``next_cursor`` of the page before, with the same question.
    """

    q: str | None = Field(default=None, max_length=200)
    lat: _Latitude | None = None
    lon: _Longitude | None = Field(default=None, validate_default=True)
    radius_km: float = Field(default=10.0, gt=0, le=20_100, allow_inf_nan=False)
    limit: int = Field(default=50, ge=1, le=PAGE_AT_MOST)
    cursor: str | None = Field(default=None, max_length=4_096)

    @field_validator("lon")
    @classmethod
    def _both(cls, lon: float | None, info: ValidationInfo) -> float | None:
        if "lat" in info.data and (info.data["lat"] is None) is not (lon is None):
            raise ValueError("lat and lon go together; give both, or neither")
        return lon


class Product(ProductSpec):
    """A product as it stands."""


class FoundProduct(Product):
    """A product of a page; its distance where a place was asked about, else null."""

    distance_km: float | None = None


class ProductPage(_Schema):
    """Products in their order; ``next_cursor`` is null after the last."""

    products: list[FoundProduct]
    next_cursor: str | None


class FieldError(_Schema):
    """What is wrong with one field, and the remedy."""

    field: str
    message: str


class BatchVerdict(_Schema):
    """What became of one product of a batch.

    Attributes:
        index: its place in the batch, from 0.
        sku: as it was given, where it was a text.
        errors: why it was refused.
    """

    index: int
    sku: str | None
    status: Literal["created", "updated", "unchanged", "refused"]
    errors: list[FieldError] | None = None


class BatchAnswer(_Schema):
    """What became of each product of a batch, in its order, and how many had each lot."""

    results: list[BatchVerdict]
    created: int
    updated: int
    unchanged: int
    refused: int
