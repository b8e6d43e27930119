"""The search of products, as those see it who search: one interface, whatever index is behind it."""

from typing import Any, NamedTuple, Protocol

from actors.shards.unit import UnitCall
from services.catalog.schemas import ProductPage


class Shelf(NamedTuple):
    """Whose products, on which shard they are, and under which id it is followed what is done with them."""

    tenant_id: str
    shard: int
    correlation_id: str = ""

    def unit(self, name: str, arguments: Any) -> UnitCall:
        """A unit of work on it."""
        return UnitCall(name, self.shard, self.tenant_id, arguments, correlation_id=self.correlation_id)


class Around(NamedTuple):
    """A place, and how far from it."""

    lat: float
    lon: float
    radius_km: float


class Question(NamedTuple):
    """What is searched for.

    Attributes:
        text: words; None lists all.
        around: only what is there; None is everywhere.
        limit: products of a page, from 1.
        cursor: behind which page to go on; None begins.
    """

    text: str | None = None
    around: Around | None = None
    limit: int = 50
    cursor: str | None = None


class ProductSearch(Protocol):
    """Finds products of one merchant, never another's.

    Found are those that have each word of the text, or one that begins with it, in name or description; where there are
    none, those that have a word that is nearly it. What the name says counts more than what the description does, a
    whole word more than a beginning. Of equals the nearest comes first, then by sku. Pages neither repeat a product
    nor leave one out because others are added or removed meanwhile.
    """

    async def search(self, shelf: Shelf, question: Question, *, timeout_s: float) -> ProductPage:
        """One page.

        Raises:
            ForeignCursorError: the cursor is none of this question's.
            SpazaError: the index does not answer; ``retryable`` says whether it may later.
        """
