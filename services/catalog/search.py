"""Search on the shards themselves: PostgreSQL's full text, and distances over the great circle.

A search reads all of its merchant's shelf, for under row level security no index serves it; a page of the whole shelf
in the order of skus does not.
"""

from actors.shards.unit import UnitRunner
from services.catalog.cursor import after, place_in
from services.catalog.ports import Question, Shelf
from services.catalog.rows import found_product
from services.catalog.schemas import ProductPage
from services.catalog.store import (
    LIST_PRODUCTS,
    SEARCH_PRODUCTS,
    Found,
    FoundRow,
    ListWanted,
    ProductRow,
    SearchWanted,
)
from services.catalog.words import Groups, groups_of


class ShardProductSearch:
    """Implements ``ProductSearch`` with units of work beside the merchant's shard. Holds no state."""

    def __init__(self, shards: UnitRunner) -> None:
        self._shards = shards

    async def search(self, shelf: Shelf, question: Question, *, timeout_s: float) -> ProductPage:
        if question.text is None and question.around is None:
            return await self._all(shelf, question, timeout_s)
        begun = place_in(question)
        groups: Groups = () if question.text is None else groups_of(question.text)
        if question.text is not None and not groups:
            # A text without a word in it finds nothing.
            return ProductPage(products=[], next_cursor=None)
        around = question.around
        wanted = SearchWanted(
            groups if begun is None or not groups else begun[1] or groups,
            begun is None,
            None if around is None else around.lat,
            None if around is None else around.lon,
            None if around is None else around.radius_km * 1000,
            None if begun is None else begun[0],
            question.limit + 1,
        )
        [outcome] = await self._shards.run([shelf.unit(SEARCH_PRODUCTS, wanted)], timeout_s=timeout_s)
        found: Found = outcome.unwrap()
        return _page(found.rows, question, found.groups)

    async def _all(self, shelf: Shelf, question: Question, timeout_s: float) -> ProductPage:
        begun = place_in(question)
        wanted = ListWanted("" if begun is None else begun[0].sku, question.limit + 1)
        [outcome] = await self._shards.run([shelf.unit(LIST_PRODUCTS, wanted)], timeout_s=timeout_s)
        rows: list[ProductRow] = outcome.unwrap()
        return _page([FoundRow(row, 0, None) for row in rows], question, ())


def _page(rows: list[FoundRow], question: Question, groups: Groups) -> ProductPage:
    """Of rows of which one more was asked for than a page holds."""
    page = rows[: question.limit]
    return ProductPage.model_construct(
        products=[found_product(one.row, one.metres) for one in page],
        next_cursor=after(page[-1].place, question, groups) if len(rows) > question.limit else None,
    )
