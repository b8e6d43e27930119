"""What can go wrong with the catalogue.

CatalogError
    UnknownProductError     the merchant has no product of this sku
    ForeignCursorError      the cursor is none that a page of this question ended with
"""

from typing import ClassVar

from kernel.errors import SpazaError


class CatalogError(SpazaError):
    """Anything that goes wrong with the catalogue."""

    code: ClassVar[str] = "catalog_error"


class UnknownProductError(CatalogError):
    """There is no product of this sku."""

    code: ClassVar[str] = "unknown_product"
    http_status: ClassVar[int] = 404

    def __init__(self, sku: str) -> None:
        super().__init__(sku)
        self.sku = sku

    def __str__(self) -> str:
        return f"there is no product {self.sku!r}"


class ForeignCursorError(CatalogError):
    """The text is no cursor of a page of this question. Begin again without one."""

    code: ClassVar[str] = "foreign_cursor"
    http_status: ClassVar[int] = 400

    def __str__(self) -> str:
        return "cursor: is none that a page of this question ended with; leave it out to begin again"
