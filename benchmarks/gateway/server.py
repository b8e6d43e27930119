"""``python -m benchmarks.gateway.server``: products at ``/whole`` with the route's plugins, ``/bare`` without.

One process with uvicorn, as a replica has it. Who calls ``/bare`` is always the merchant of ``BENCH_TENANT``; his words
are taken as they are, for to validate them belongs to the chain.
"""

import os
import sys

import orjson
import ray
import uvicorn

from config.settings import load_settings
from gateway.asgi import ASGIApp, Receive, Scope, Send, serve_lifespan
from gateway.chain import chained
from gateway.context import Identity, context_of
from gateway.operations import Call
from serve_app import Spaza
from services.catalog.operations import GET, PUT
from services.catalog.routes import ProductsApi
from services.catalog.schemas import Money, ProductBody, ProductPath
from services.catalog.wiring import CATALOG_SERVICE, catalog_of
from telemetry.log import configure_logging


def application() -> ASGIApp:
    """Both, over one handle of the shards."""
    spaza = Spaza(load_settings(os.environ), instance_id="bench")
    route = spaza.routes.named("products", CATALOG_SERVICE)
    shards = spaza.shards()
    parts = spaza.gateway_parts()(shards)
    api = ProductsApi(catalog_of(shards))
    tenant_id, _, shard = os.environ["BENCH_TENANT"].partition(":")
    merchant = Identity(tenant_id, "bench", int(shard), 1)

    async def known(scope: Scope, receive: Receive, send: Send) -> None:
        context = context_of(scope)
        context.identity = merchant
        path = ProductPath.model_construct(sku=context.path[1:])
        if scope["method"] == "GET":
            context.call = Call(GET, None, None, path, None)
        else:
            given = orjson.loads(context.body)
            price = Money.model_construct(**given["price"])
            body = ProductBody.model_construct(**{**given, "price": price})
            context.call = Call(PUT, body, None, path, None)
        await api(scope, receive, send)

    mounted = {
        "/whole": chained(api, route, parts, api.operations),
        "/bare": chained(known, route.model_copy(update={"plugins": {}}), parts, api.operations),
    }

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await serve_lifespan(receive, send)
            return
        prefix = "/" + scope["path"].split("/")[1]
        await mounted[prefix]({**scope, "root_path": prefix}, receive, send)

    return dispatch


def main() -> None:
    configure_logging("INFO")
    ray.init(address=os.environ["RAY_ADDRESS"], namespace="spaza", log_to_driver=False)
    uvicorn.run(
        application(), host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", access_log=False, log_level="error"
    )


if __name__ == "__main__":
    main()
