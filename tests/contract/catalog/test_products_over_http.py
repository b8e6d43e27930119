"""Products over HTTP, as a merchant's program sees them, on real shards."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext
from typing import Any

import asyncpg
import httpx
import pytest

from actors.shards.dsn import shard_dsn
from actors.shards.errors import OverloadedError, ShardUnavailableError, UnitTimeoutError
from actors.shards.unit import UnitCall, UnitOutcome, UnitRunner
from cluster.postgres import PostgresServer
from config.routes import Route
from gateway.asgi import Receive, Scope, Send
from gateway.chain import Parts, chained
from gateway.context import Identity, context_of
from gateway.share import Share
from kernel.errors import SpazaError
from services.catalog.ports import Shelf
from services.catalog.routes import ProductsApi
from services.catalog.wiring import OF_ONE_TENANT, ROOM, catalog_of
from tests.contract.catalog.conftest import HOME, SHARD, ShardShop
from tests.gateway import Watch

PATH = "/api/v1/products"
BREAD: dict[str, Any] = {"name": "White bread", "price": {"amount": 1999, "currency": "ZAR"}}
WHOLE: dict[str, Any] = {
    **BREAD, "description": "sliced", "stock": 7, "location": {"lat": -26.25, "lon": 27.85}, "category": "bakery",
    "image_url": "https://example.com/bread.png",
}  # fmt: skip


class Troubled:
    """Runs units, unless there is trouble."""

    def __init__(self, runner: UnitRunner) -> None:
        self._runner = runner
        self.error: SpazaError | None = None
        self.patience: list[float] = []

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        self.patience.append(timeout_s)
        if self.error is not None:
            return [UnitOutcome(None, (), self.error) for _ in calls]
        return await self._runner.run(calls, timeout_s=timeout_s)


class Merchant:
    """A program of one merchant, behind the route without its plugins: who calls is known."""

    def __init__(
        self,
        shelf: Shelf,
        runner: UnitRunner,
        share: Share | None = None,
        room: asyncio.Semaphore | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self.shards = Troubled(runner)
        api = ProductsApi(catalog_of(self.shards))
        served = api if share is None else share

        async def identified(scope: Scope, receive: Receive, send: Send) -> None:
            context_of(scope).identity = Identity(shelf.tenant_id, "kid", shelf.shard, 1)
            await served(scope, receive, send)

        route = Route(name="products", path=PATH, service="catalog-service", timeout_s=timeout_s, plugins={})
        app = chained(identified, route, Parts(Watch()), api.operations)

        async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
            async with room or nullcontext():
                await app({**scope, "root_path": PATH}, receive, send)

        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app=mounted), base_url="http://spaza" + PATH)

    async def skus(self, **query: Any) -> list[str]:
        answer = await self.client.get("", params=query)
        assert answer.status_code == 200, answer.text
        return [one["sku"] for one in answer.json()["products"]]


@pytest.fixture
async def merchant(shard_shop: ShardShop) -> AsyncIterator[Merchant]:
    made = Merchant(await shard_shop.open(), shard_shop.runner)
    yield made
    await made.client.aclose()


def fields(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) == {"message", "request_id", "errors"}
    return [one["field"] for one in answer.json()["errors"]]


async def test_a_product_is_made_read_replaced_and_taken_away(merchant: Merchant) -> None:
    client = merchant.client

    made = await client.put("/bread-white", json=WHOLE)
    again = await client.put("/bread-white", json={**WHOLE, "sku": "bread-white"})
    read = await client.get("/bread-white")
    replaced = await client.put("/bread-white", json=BREAD)
    gone = await client.delete("/bread-white")
    gone_again = await client.delete("/bread-white")

    assert (made.status_code, again.status_code, replaced.status_code) == (201, 200, 200)
    assert made.json() == again.json() == read.json() == {"sku": "bread-white", **WHOLE}
    assert replaced.json() == {
        "sku": "bread-white", **BREAD,
        "description": "", "stock": None, "location": None, "category": None, "image_url": None,
    }  # fmt: skip
    assert (gone.status_code, gone.content, gone_again.status_code) == (204, b"", 404)
    assert (await client.get("/bread-white")).json()["message"] == "There is no product 'bread-white'"


async def test_amounts_are_exact_to_the_last_unit(merchant: Merchant) -> None:
    await merchant.client.put("/gold", json={"name": "Gold", "price": {"amount": 10**12}, "stock": 10**9})

    read = (await merchant.client.get("/gold")).json()

    assert (read["price"], read["stock"]) == ({"amount": 10**12, "currency": "ZAR"}, 10**9)


async def test_what_is_wrong_is_named(merchant: Merchant) -> None:
    client = merchant.client

    assert fields(await client.put("/x", json={**BREAD, "colour": "red"})) == ["colour"]
    assert fields(await client.put("/x", json={"name": "X", "price": {"amount": 19.99}})) == ["price.amount"]
    assert fields(await client.put("/x", json={**BREAD, "sku": "y"})) == ["sku"]
    assert fields(await client.put("/a%20b", json=BREAD)) == ["sku"]
    assert fields(await client.put("/x", content=b"{")) == ["body"]
    assert fields(await client.put("/x", content=b"")) == ["body"]
    assert fields(await client.put("/x", content=b"[]")) == ["body"]
    assert fields(await client.get("/" + "a" * 101)) == ["sku"]
    assert fields(await client.get("/a%00")) == ["sku"]
    assert fields(await client.get("", params={"lat": 1})) == ["lon"]
    assert fields(await client.get("", params={"limit": 0, "page": 2})) == ["limit", "page"]
    assert fields(await client.get("", params={"cursor": "nonsense"})) == ["cursor"]
    assert fields(await client.get("?q=%ff")) == ["query"]
    assert await merchant.skus() == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "", 405), ("PATCH", "/x", 405), ("PUT", "/batch/x", 404), ("GET", "/x/y", 404), ("POST", "/sync", 404)],
)
async def test_what_cannot_be_asked_is_refused(merchant: Merchant, method: str, path: str, status: int) -> None:
    answer = await merchant.client.request(method, path)

    assert answer.status_code == status
    assert set(answer.json()) == {"message", "request_id"}


@pytest.mark.parametrize("sku", ["batch", "sync"])
async def test_the_word_of_a_call_is_no_sku(merchant: Merchant, sku: str) -> None:
    alone = await merchant.client.put(f"/{sku}", json=BREAD)
    among = await merchant.client.post("/batch", json={"products": [{**BREAD, "sku": sku}]})

    assert alone.status_code == (405 if sku == "batch" else 400)
    assert sku == "sync" or alone.headers["allow"] == "POST"
    assert among.json()["refused"] == 1
    assert "under which products are called together" in among.json()["results"][0]["errors"][0]["message"]


async def test_a_batch_says_of_each_product_what_became_of_it(merchant: Merchant) -> None:
    await merchant.client.put("/same", json=BREAD)
    await merchant.client.put("/changed", json=BREAD)
    wrong = {"sku": "wrong", "name": "", "price": {"amount": -1}}

    answer = await merchant.client.post(
        "/batch",
        json={
            "products": [
                {"sku": "same", **BREAD}, {"sku": "changed", **WHOLE}, {"sku": "new", **BREAD}, wrong, None,
                {"sku": "new", **WHOLE},
            ]
        },
    )  # fmt: skip

    assert answer.status_code == 200
    told = answer.json()
    assert [one["status"] for one in told["results"]] == ["unchanged", "updated", "created"] + ["refused"] * 3
    assert [one["field"] for one in told["results"][3]["errors"]] == ["name", "price.amount"]
    assert {lot: told[lot] for lot in ("created", "updated", "unchanged", "refused")} == {
        "created": 1, "updated": 1, "unchanged": 1, "refused": 3,
    }  # fmt: skip
    assert await merchant.skus() == ["changed", "new", "same"]


@pytest.mark.parametrize(
    "document",
    [{}, {"products": []}, {"products": {}}, {"products": [BREAD] * 1001}, {"products": [BREAD], "a": 1}, []],
)
async def test_a_batch_of_no_form_is_refused_whole(merchant: Merchant, document: Any) -> None:
    assert (await merchant.client.post("/batch", json=document)).status_code == 400


async def test_a_thousand_products_are_written_at_once_and_paged(merchant: Merchant) -> None:
    products = [{"sku": f"p-{n:04}", **WHOLE, "description": "x" * 200} for n in range(1000)]

    answer = await merchant.client.post("/batch", json={"products": products})

    assert answer.json()["created"] == 1000
    seen, cursor = [], None
    while True:
        page = (await merchant.client.get("", params={"limit": 300, **({"cursor": cursor} if cursor else {})})).json()
        seen += [one["sku"] for one in page["products"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"p-{n:04}" for n in range(1000)]


async def test_a_search_names_how_far_each_product_is(merchant: Merchant) -> None:
    await merchant.client.put("/home", json=BREAD)
    await merchant.client.put("/far", json={**BREAD, "location": {"lat": HOME[0] - 0.5, "lon": HOME[1]}})
    here = {"lat": HOME[0], "lon": HOME[1]}

    near = (await merchant.client.get("", params={"q": "bread", **here})).json()["products"]
    wide = (await merchant.client.get("", params={"q": "bread", "radius_km": 60, **here})).json()["products"]
    anywhere = (await merchant.client.get("", params={"q": "bread"})).json()["products"]

    assert [(one["sku"], one["distance_km"]) for one in near] == [("home", 0.0)]
    assert [(one["sku"], one["distance_km"]) for one in wide] == [("home", 0.0), ("far", pytest.approx(55.6, abs=0.1))]
    assert [(one["sku"], one["distance_km"]) for one in anywhere] == [("far", None), ("home", None)]


async def test_merchants_see_and_change_their_own_alone(shard_shop: ShardShop) -> None:
    thandi, sipho = [Merchant(await shard_shop.open(), shard_shop.runner) for _ in range(2)]
    await thandi.client.put("/bread", json=WHOLE)

    assert (await sipho.client.get("/bread")).status_code == 404
    assert (await sipho.client.delete("/bread")).status_code == 404
    assert await sipho.skus() == await sipho.skus(q="bread") == []
    assert (await sipho.client.put("/bread", json=BREAD)).status_code == 201
    assert (await thandi.client.get("/bread")).json()["stock"] == 7


async def test_whoever_puts_at_the_same_time_one_makes_it_and_one_is_last(merchant: Merchant) -> None:
    answers = await asyncio.gather(
        *(merchant.client.put("/x", json={"name": f"N{n}", "price": {"amount": n}}) for n in range(20)),
        *(merchant.client.post("/batch", json={"products": _order(n)}) for n in range(10)),
    )

    assert sorted(one.status_code for one in answers[:20]) in ([200] * 19 + [201], [200] * 20)
    assert {one.status_code for one in answers[20:]} == {200}
    read = (await merchant.client.get("/x")).json()
    assert read["name"] == f"N{read['price']['amount']}"


def _order(n: int) -> list[dict[str, Any]]:
    one = {"name": f"N{n}", "price": {"amount": n}}
    skus = ["x", "y", "z"] if n % 2 else ["z", "y", "x"]
    return [{"sku": sku, **one} for sku in skus]


async def test_what_earlier_code_wrote_is_found_as_well(shard_shop: ShardShop) -> None:
    shelf = await shard_shop.open()
    merchant = Merchant(shelf, shard_shop.runner)
    call = UnitCall("write_as_earlier_code", shelf.shard, shelf.tenant_id, "White bread")
    [outcome] = await shard_shop.runner.run([call], timeout_s=60)
    outcome.unwrap()

    assert await merchant.skus(q="bread", lat=HOME[0], lon=HOME[1]) == await merchant.skus(q="wite") == ["earlier"]
    await merchant.client.aclose()


@pytest.mark.parametrize(
    ("error", "status", "comes_again"),
    [
        (ShardUnavailableError(3, "away"), 503, True),
        (OverloadedError(3, 0.5), 503, True),
        (UnitTimeoutError("catalog.read_product", 3), 504, True),
    ],
    ids=["away", "overloaded", "late"],
)
async def test_a_shard_that_does_not_answer_is_said_with_when_to_come_again(
    merchant: Merchant, error: SpazaError, status: int, comes_again: bool
) -> None:
    merchant.shards.error = error

    answer = await merchant.client.get("/x")

    assert answer.status_code == status
    assert ("retry-after" in answer.headers) is comes_again
    assert set(answer.json()) == {"message", "request_id"}


@pytest.fixture
async def stuck_and_other(shard_shop: ShardShop, server: PostgresServer) -> AsyncIterator[tuple[Merchant, Merchant]]:
    """Two merchants of one shard in one replica; the table of the first is locked by somebody."""
    room = asyncio.Semaphore(ROOM)
    share = Share(ProductsApi(catalog_of(shard_shop.runner)), OF_ONE_TENANT, patience_s=0.8)
    shelves = [await shard_shop.open(), await shard_shop.open()]
    merchants = [Merchant(shelf, shard_shop.runner, share, room, timeout_s=60.0) for shelf in shelves]
    owner = await asyncpg.connect(shard_dsn(server.dsn, SHARD))
    async with owner.transaction():
        await owner.execute(f"LOCK TABLE tenant_{shelves[0].tenant_id}.product")
        yield merchants[0], merchants[1]
    await owner.close()
    for one in merchants:
        await one.client.aclose()


async def test_a_merchant_whose_table_is_locked_does_not_slow_another(
    stuck_and_other: tuple[Merchant, Merchant],
) -> None:
    stuck, other = stuck_and_other
    asked = [asyncio.create_task(stuck.client.get("")) for _ in range(2 * ROOM)]
    await asyncio.sleep(0.1)
    started = time.monotonic()

    assert await other.skus() == []
    took_s = time.monotonic() - started
    refused = [one.result() for one in asked if one.done()]
    for one in asked:
        one.cancel()
    await asyncio.wait(asked)

    # All of them would have waited for as long as the server lets anybody wait for a lock, ten seconds.
    assert took_s < 9.0
    assert {(one.status_code, one.headers["retry-after"]) for one in refused} == {(503, "2")}
    assert len(refused) >= ROOM - OF_ONE_TENANT


async def test_a_hop_gets_what_is_left_of_the_routes_time(shard_shop: ShardShop) -> None:
    merchant = Merchant(await shard_shop.open(), shard_shop.runner, timeout_s=5.0)
    await merchant.client.get("/x")
    await merchant.client.aclose()

    assert 0 < merchant.shards.patience[0] <= 5
