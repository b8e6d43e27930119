"""Products between their rows and what callers give and get. Pure."""

from typing import Any

from services.catalog.schemas import FoundProduct, Money, Product, ProductLocation, ProductSpec
from services.catalog.store import ProductRow, WrittenProduct
from services.catalog.words import indexed


def written(product: ProductSpec) -> WrittenProduct:
    """As it is written."""
    place = product.location
    row = ProductRow(
        sku=product.sku,
        name=product.name,
        description=product.description,
        price_minor=product.price.amount,
        currency=product.price.currency,
        stock=product.stock,
        category=product.category,
        image_url=product.image_url,
        latitude=None if place is None else place.lat,
        longitude=None if place is None else place.lon,
    )
    return WrittenProduct(row, indexed(row.name, row.description))


def product_of(row: ProductRow) -> Product:
    """As it is answered alone."""
    return Product.model_construct(**_fields(row))


def found_product(row: ProductRow, metres: int | None) -> FoundProduct:
    """As it is answered in a page."""
    return FoundProduct.model_construct(**_fields(row), distance_km=None if metres is None else metres / 1000)


def _fields(row: ProductRow) -> dict[str, Any]:
    # What stands in a row was checked before it got there, by the rules of its time.
    located = row.latitude is not None and row.longitude is not None
    return {
        "sku": row.sku,
        "name": row.name,
        "description": row.description,
        "price": Money.model_construct(amount=row.price_minor, currency=row.currency),
        "stock": row.stock,
        "category": row.category,
        "image_url": row.image_url,
        "location": ProductLocation.model_construct(lat=row.latitude, lon=row.longitude) if located else None,
    }
