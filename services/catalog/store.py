"""All SQL of the catalogue, as units of work in the merchant's context."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from actors.shards.unit import Transaction, UnitFunction
from kernel.sql import load_queries
from services.catalog.words import Groups, corrected, may_be_mistyped, met_by

_SQL = load_queries(Path(__file__).with_name("queries.sql"))

UPSERT_PRODUCTS: Final = "catalog.upsert_products"
READ_PRODUCT: Final = "catalog.read_product"
DELETE_PRODUCT: Final = "catalog.delete_product"
LIST_PRODUCTS: Final = "catalog.list_products"
SEARCH_PRODUCTS: Final = "catalog.search_products"

# With which mistyped words are compared, in the shard's event loop, where all its tenants wait: ten words of 20 letters
# with so many take 4 ms, with 20,000 they took 45.
_WORDS_AT_MOST: Final = 2_000


class ProductRow(NamedTuple):
    """A product; in the order of the statement's arrays. Without coordinates it is where its merchant is."""

    sku: str
    name: str
    description: str
    price_minor: int
    currency: str
    stock: int | None
    category: str | None
    image_url: str | None
    latitude: float | None
    longitude: float | None


class WrittenProduct(NamedTuple):
    """A product to be written; ``words`` is the text of its tsvector."""

    row: ProductRow
    words: str


class Written(NamedTuple):
    """What was written: skus that were new, and skus that were changed. The others stood there as they were given."""

    created: frozenset[str]
    updated: frozenset[str]


class ListWanted(NamedTuple):
    """Products behind a sku; empty begins."""

    after: str
    limit: int


class Place(NamedTuple):
    """Where a row stands in the order of a search: less is earlier. ``metres`` is 0 where no place was asked about."""

    minus_score: int
    metres: int
    sku: str


class SearchWanted(NamedTuple):
    """What is searched for.

    Attributes:
        groups: see ``words``; empty for whatever the words.
        correct: whether words that nothing is found by may have been mistyped.
        latitude: of the place that was asked about; None for everywhere, and so the other two.
        radius_m: from there.
    """

    groups: Groups
    correct: bool
    latitude: float | None
    longitude: float | None
    radius_m: float | None
    after: Place | None
    limit: int


class FoundRow(NamedTuple):
    """A product with its place in the order; ``metres`` is None where no place was asked about."""

    row: ProductRow
    score: int
    metres: int | None

    @property
    def place(self) -> Place:
        """Its place."""
        return Place(-self.score, 0 if self.metres is None else self.metres, self.row.sku)


class Found(NamedTuple):
    """Products in their order, and by which groups they were found: those asked for, or as they were corrected."""

    rows: list[FoundRow]
    groups: Groups


async def upsert_products(transaction: Transaction, products: Sequence[WrittenProduct]) -> Written:
    """Write products, each sku once."""
    columns = [list(column) for column in zip(*((*row, words) for row, words in products), strict=True)]
    rows = await transaction.fetch(_SQL["upsert_products"], *columns)
    created = frozenset(sku for sku, is_new in rows if is_new)
    return Written(created, frozenset(sku for sku, is_new in rows if not is_new))


async def read_product(transaction: Transaction, sku: str) -> ProductRow | None:
    """The product; None if there is none."""
    row = await transaction.fetchrow(_SQL["read_product"], sku)
    return None if row is None else ProductRow(*row)


async def delete_product(transaction: Transaction, sku: str) -> bool:
    """Take a product away; False if there was none."""
    return await transaction.fetchrow(_SQL["delete_product"], sku) is not None


async def list_products(transaction: Transaction, wanted: ListWanted) -> list[ProductRow]:
    """Products by sku."""
    return [ProductRow(*row) for row in await transaction.fetch(_SQL["list_products"], *wanted)]


async def search_products(transaction: Transaction, wanted: SearchWanted) -> Found:
    """Products that meet all groups, in the order of a search; by corrected words where there are none otherwise.

    Only so many known words are looked at. First come those that begin with the letter of one that was given, so what a
    larger vocabulary costs is that a word whose first letter is wrong may not be corrected.
    """
    rows = await _search(transaction, wanted)
    if rows or not wanted.correct or not may_be_mistyped(wanted.groups):
        return Found(rows, wanted.groups)
    words = [word for (word, *_) in wanted.groups]
    known = await transaction.fetch(_SQL["known_words"], words, _WORDS_AT_MOST)
    meant = corrected(wanted.groups, (row["lexeme"] for row in known))
    if meant is None or meant == wanted.groups:
        return Found([], wanted.groups)
    return Found(await _search(transaction, wanted._replace(groups=meant)), meant)


async def _search(transaction: Transaction, wanted: SearchWanted) -> list[FoundRow]:
    groups = wanted.groups
    rows: list[Any] = await transaction.fetch(
        _SQL["search_products"],
        " & ".join(f"({met_by(group)})" for group in groups) or None,
        [met_by(group, whole=True, weight="A") for group in groups],
        [met_by(group, weight="A") for group in groups],
        [met_by(group, whole=True) for group in groups],
        wanted.latitude,
        wanted.longitude,
        wanted.radius_m,
        *((None, None, None) if wanted.after is None else wanted.after),
        wanted.limit,
    )
    return [FoundRow(ProductRow(*row), score, metres) for *row, score, metres in rows]


UNITS: Mapping[str, UnitFunction] = MappingProxyType(
    {
        UPSERT_PRODUCTS: upsert_products,
        READ_PRODUCT: read_product,
        DELETE_PRODUCT: delete_product,
        LIST_PRODUCTS: list_products,
        SEARCH_PRODUCTS: search_products,
    }
)
