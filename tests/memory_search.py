"""The double of the product search: the same answers, from a list."""

import math
from collections import defaultdict
from collections.abc import Sequence

from services.catalog.cursor import after, place_in
from services.catalog.ports import Around, Question, Shelf
from services.catalog.rows import found_product, written
from services.catalog.schemas import ProductPage, ProductSpec
from services.catalog.store import FoundRow, Place, ProductRow
from services.catalog.words import Groups, corrected, groups_of, words_of


class InMemoryProductSearch:
    """Implements ``ProductSearch`` over products that it was given.

    Args:
        home: latitude and longitude of every merchant.
    """

    def __init__(self, home: tuple[float, float]) -> None:
        self._home = home
        self._products: defaultdict[str, dict[str, ProductRow]] = defaultdict(dict)

    def put(self, shelf: Shelf, products: Sequence[ProductSpec]) -> None:
        for product in products:
            self._products[shelf.tenant_id][product.sku] = written(product).row

    def remove(self, shelf: Shelf, sku: str) -> None:
        del self._products[shelf.tenant_id][sku]

    async def search(self, shelf: Shelf, question: Question, *, timeout_s: float) -> ProductPage:
        rows = list(self._products[shelf.tenant_id].values())
        begun = place_in(question)
        groups: Groups = ()
        if question.text is not None:
            groups = groups_of(question.text)
            if not groups:
                return ProductPage(products=[], next_cursor=None)
            if begun is not None:
                groups = begun[1]
        found = self._found(rows, groups, question.around)
        if not found and begun is None and groups:
            known = {word for row in rows for word in words_of(f"{row.name} {row.description}")}
            groups = corrected(groups, known) or groups
            found = self._found(rows, groups, question.around)
        found = sorted((one for one in found if begun is None or one.place > begun[0]), key=_place)
        page = found[: question.limit]
        return ProductPage(
            products=[found_product(one.row, one.metres) for one in page],
            next_cursor=after(page[-1].place, question, groups) if len(found) > question.limit else None,
        )

    def _found(self, rows: Sequence[ProductRow], groups: Groups, around: Around | None) -> list[FoundRow]:
        found = []
        for row in rows:
            scores = [_score(row, group) for group in groups]
            metres = None if around is None else self._metres(row, around)
            if 0 not in scores and (around is None or (metres is not None and metres <= around.radius_km * 1000)):
                found.append(FoundRow(row, sum(scores), metres))
        return found

    def _metres(self, row: ProductRow, around: Around) -> int:
        lat, lon = self._home if row.latitude is None or row.longitude is None else (row.latitude, row.longitude)
        half = math.sin(math.radians(lat - around.lat) / 2) ** 2 + math.cos(math.radians(around.lat)) * math.cos(
            math.radians(lat)
        ) * (math.sin(math.radians(lon - around.lon) / 2) ** 2)
        return round(2 * 6371008.8 * math.asin(min(1, math.sqrt(half))))


def _score(row: ProductRow, group: Sequence[str]) -> int:
    named, told = words_of(row.name), words_of(row.description)
    if any(word in named for word in group):
        return 8
    begun = [word for word in group if not word.isdecimal()]
    if any(one.startswith(word) for word in begun for one in named):
        return 4
    if any(word in told for word in group):
        return 2
    return int(any(one.startswith(word) for word in begun for one in told))


def _place(one: FoundRow) -> Place:
    return one.place
