"""That a tenant whose requests do not end leaves room for others, and one whose requests end is not held back."""

import asyncio
from typing import Any

import pytest

from gateway.answers import answer
from gateway.asgi import ASGIApp, Receive, Scope, Send
from gateway.chain import Parts, chained
from gateway.context import Identity, context_of
from gateway.share import Share
from services.catalog.errors import UnknownProductError
from tests.gateway import Watch
from tests.unit.gateway.bench import Answered, answered, route

PATIENCE_S = 0.05
ROOM, PART = 8, 2


class Shop:
    """Requests of some tenants wait until they are let go; there is no room for more than some, as in a replica."""

    def __init__(self) -> None:
        self.stuck = {"a"}
        self.free = asyncio.Event()
        self.served = 0
        room = asyncio.Semaphore(ROOM)
        share = self.share = Share(self._serve, PART, patience_s=PATIENCE_S)

        async def identified(scope: Scope, receive: Receive, send: Send) -> None:
            context = context_of(scope)
            tenant_id = context.headers[b"tenant"].decode()
            context.identity = Identity(tenant_id, "kid", 1, 1) if tenant_id else None
            await share(scope, receive, send)

        self._chain: ASGIApp = chained(identified, route(), Parts(Watch()))
        self._room = room

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if context_of(scope).headers[b"tenant"].decode() in self.stuck:
            await self.free.wait()
        if context_of(scope).path == "/unknown":
            raise UnknownProductError("bread")
        self.served += 1
        await answer(scope, send, 200, {})

    async def ask(self, tenant_id: str, path: str = "") -> Answered:
        async with self._room:
            return await answered(self._chain, path=path, headers=[("tenant", tenant_id)])


def statuses(tasks: list["asyncio.Task[Answered]"]) -> list[Any]:
    return [task.result().status if task.done() else None for task in tasks]


async def test_a_tenant_whose_requests_do_not_end_keeps_its_part_and_no_more() -> None:
    shop = Shop()
    of_a = [asyncio.create_task(shop.ask("a")) for _ in range(3 * ROOM)]
    of_b = asyncio.create_task(shop.ask("b"))

    assert (await asyncio.wait_for(of_b, 60)).status == 200
    refused = [task.result() for task in of_a if task.done()]
    assert statuses(of_a).count(None) == PART
    assert {(one.status, one.headers["retry-after"]) for one in refused} == {(503, "2")}

    at_once = await asyncio.wait_for(shop.ask("a"), 60)
    shop.free.set()
    await asyncio.gather(*of_a)
    assert at_once.status == 503
    assert statuses(of_a).count(200) == PART
    # They end again, so there is no more to hold back.
    assert (await shop.ask("a")).status == 200


async def test_any_number_of_requests_that_end_is_served() -> None:
    shop = Shop()
    shop.stuck = set()

    answers = await asyncio.gather(*(shop.ask("a") for _ in range(50 * ROOM)))

    assert {one.status for one in answers} == {200}


async def test_that_there_is_no_such_product_is_an_answer_too() -> None:
    shop = Shop()
    waiting = [asyncio.create_task(shop.ask("a", "/unknown")) for _ in range(PART + 1)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=5)
    assert statuses(waiting).count(503) == 1

    shop.free.set()
    await asyncio.gather(*waiting)

    assert statuses(waiting).count(404) == PART
    assert not shop.share._parties


async def test_who_is_nobody_is_left_to_the_application() -> None:
    shop = Shop()

    assert (await shop.ask("")).status == 200


@pytest.mark.parametrize("path", ["", "/unknown"])
async def test_a_tenant_without_requests_is_forgotten(path: str) -> None:
    share = Share(Shop()._serve, PART)

    async def identified(scope: Scope, receive: Receive, send: Send) -> None:
        context_of(scope).identity = Identity("b", "kid", 1, 1)
        await share(scope, receive, send)

    await answered(chained(identified, route(), Parts(Watch())), path=path, headers=[("tenant", "b")])

    assert not share._parties
