"""What all routes together can be asked, as OpenAPI documents it. Like ``units``, it knows all services."""

from importlib.metadata import version
from typing import Any

from config.routes import Routes
from gateway.openapi import DocumentedRoute, openapi_of
from services.catalog import operations as catalog
from services.ops import operations as ops
from services.tenants import operations as tenants
from services.usage.routes import READ_USAGE
from services.whatsapp import operations as whatsapp


def document_of(routes: Routes) -> dict[str, Any]:
    """The document of the routes that are served.

    Args:
        routes: as they are declared.
    """

    def path(name: str) -> str:
        return routes.routes[name].path

    return openapi_of(
        [
            DocumentedRoute(
                path("products"), "Products", "What a merchant sells, on its own shard.", catalog.OPERATIONS, "tenant"
            ),
            DocumentedRoute(path("usage"), "Usage", "What a merchant has left of its limits.", [READ_USAGE], "tenant"),
            DocumentedRoute(
                path("whatsapp"),
                "WhatsApp",
                "What Meta delivers, and delivers again until it is kept.",
                whatsapp.OPERATIONS,
                "signature",
                refusals=(),
                open=frozenset({"GET"}),
            ),
            DocumentedRoute(
                path("tenants"), "Tenants", "Merchants, for operators.", tenants.OPERATIONS, "admin"
            ),
            DocumentedRoute(
                path("mailboxes"), "Mailboxes", "What waits and what died, for operators.", ops.MAILBOXES, "admin"
            ),
            DocumentedRoute("", "Health", "Whether it runs, and what this is.", ops.FRONT, None, refusals=()),
        ],
        version=version("spaza"),
    )  # fmt: skip
