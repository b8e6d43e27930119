"""The Serve application of products, for the composition root. The only place here that knows Ray."""

import sys
from collections.abc import Callable
from typing import Any, Final

from ray import serve
from ray.serve import Application

from actors.shards.unit import UnitRunner
from config.routes import Route
from gateway.asgi import ASGIApp
from gateway.chain import Parts, chained
from gateway.needs import Given, demand
from gateway.share import Share
from services.catalog.deployment import Products
from services.catalog.routes import ProductsApi
from services.catalog.search import ShardProductSearch
from services.catalog.service import Catalog
from telemetry.log import configure_logging

PRODUCTS_APP: Final = "products"
PRODUCTS_DEPLOYMENT: Final = Products.__name__
CATALOG_SERVICE: Final = "catalog-service"
# Requests under way in a replica, and those of one tenant while none of its own ends: more than its usual limit lets
# come in a minute, so that a shard that answers slowly at first refuses none of them.
ROOM: Final = 256
OF_ONE_TENANT: Final = ROOM // 2


def catalog_of(shards: UnitRunner) -> Catalog:
    """The use cases, with the search of the shards themselves."""
    return Catalog(shards, ShardProductSearch(shards))


def products_application(
    route: Route,
    *,
    shards: Callable[[], UnitRunner],
    parts: Callable[[UnitRunner], Parts],
    replicas: int = 1,
    log_level: str = "INFO",
) -> Application:
    """The products of all merchants, to be run under ``PRODUCTS_APP`` and the route's path.

    Args:
        route: with its plugins.
        shards: makes a handle, in the replica.
        parts: makes what the plugins stand on, in the replica, over that handle.
        replicas: that share the port.
        log_level: of the replicas.

    Raises:
        UnbuiltChainError: a plugin of the route lacks what it stands on.
    """
    demand(route, Given(operations=True, limiter=True, credentials=True))

    def build() -> ASGIApp:
        configure_logging(log_level, sys.__stderr__)
        handle = shards()
        api = ProductsApi(catalog_of(handle))
        return chained(Share(api, OF_ONE_TENANT), route, parts(handle), api.operations)

    deployment: Any = serve.deployment(
        serve.ingress()(Products),
        name=PRODUCTS_DEPLOYMENT,
        num_replicas=replicas,
        # Requests wait for the shards, not for the CPU; more than these would wait in memory.
        max_ongoing_requests=ROOM,
        max_queued_requests=512,
        ray_actor_options={"num_cpus": 0},
        graceful_shutdown_timeout_s=5.0,
    )
    application: Application = deployment.bind(build)
    return application
