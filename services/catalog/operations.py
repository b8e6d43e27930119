"""What the route ``products`` can be asked."""

from typing import Final

from gateway.operations import Operation
from gateway.refused import Refused
from services.catalog.schemas import (
    BatchAnswer,
    BatchRequest,
    ListQuery,
    NewProductPath,
    Product,
    ProductBody,
    ProductPage,
    ProductPath,
)

LIST: Final = Operation(
    "GET",
    "/",
    "Search products by words, by distance, or both; or list them all.",
    query=ListQuery,
    answers={200: ProductPage},
)
BATCH: Final = Operation(
    "POST",
    "/batch",
    "Create or replace up to 1,000 products; each gets a verdict of its own.",
    body=BatchRequest,
    answers={200: BatchAnswer},
)
GET: Final = Operation(
    "GET", "/{sku}", "One product.", path_parameters=ProductPath, answers={200: Product, 404: Refused}
)
PUT: Final = Operation(
    "PUT",
    "/{sku}",
    "Create a product, or put another in its place.",
    body=ProductBody,
    path_parameters=NewProductPath,
    answers={201: Product, 200: Product},
)
DELETE: Final = Operation(
    "DELETE", "/{sku}", "Take a product away.", path_parameters=ProductPath, answers={204: None, 404: Refused}
)

OPERATIONS: Final = (LIST, BATCH, GET, PUT, DELETE)
