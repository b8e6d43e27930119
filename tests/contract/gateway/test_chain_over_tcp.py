"""The chain on the server that Serve has, over TCP: what a server does with events, lengths and connections."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn

from config.plugins import JwtAuthOptions, RequestSizeLimitingOptions, ResponseTransformerOptions
from gateway.asgi import ASGIApp, Receive, Scope, Send
from gateway.chain import Parts, chained
from tests.gateway import Watch
from tests.unit.gateway.bench import App, route
from tests.unit.gateway.callers import FakeCredentials

LIMIT = 100_000
# A body is read beyond the limit, and no further than here: nine pieces, and the byte too much of the tenth.
_READ_BYTES = 9 * (7 + 65_536 + 2) + 7 + (6 * LIMIT - 9 * 65_536) + 1


@asynccontextmanager
async def served(
    app: ASGIApp,
    plugins: Any = None,
    *,
    timeout_s: float = 30.0,
    around: Callable[[ASGIApp], ASGIApp] = lambda chain: chain,
) -> AsyncIterator[tuple[str, int]]:
    """Where the chain is reached."""
    chain = around(chained(app, route(plugins, timeout_s=timeout_s), Parts(Watch(), credentials=FakeCredentials())))
    server = uvicorn.Server(uvicorn.Config(chain, host="127.0.0.1", port=0, log_level="critical", ws="none"))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - it has nothing to wait for
        await asyncio.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()
    try:
        yield host, port
    finally:
        server.should_exit = True
        await running


async def exchange(place: tuple[str, int], request: bytes, *, until_closed: bool = True) -> bytes:
    reader, writer = await asyncio.open_connection(*place)
    writer.write(request)
    await writer.drain()
    answer = await reader.read() if until_closed else await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return answer


def length_of(head: bytes) -> int:
    [length] = [line.split(b":")[1] for line in head.split(b"\r\n") if line.startswith(b"content-length:")]
    return int(length)


def limited() -> Any:
    return {"request-size-limiting": RequestSizeLimitingOptions(allowed_payload_size=LIMIT, size_unit="bytes")}


async def test_connections_are_kept_and_every_answer_has_headers_of_its_own() -> None:
    async with served(App({"a": 1})) as (host, port), httpx.AsyncClient(base_url=f"http://{host}:{port}") as client:
        answers = [await client.post("/", content=b"{}", headers={"X-Correlation-ID": f"n{n}"}) for n in range(5)]

    assert [one.headers.get_list("x-correlation-id") for one in answers] == [[f"n{n}"] for n in range(5)]
    assert [one.json() for one in answers] == [{"a": 1}] * 5


async def test_a_sender_who_asks_first_is_told_before_he_sends() -> None:
    asking = b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
    async with served(App(), limited()) as place:
        refused = await exchange(place, asking % (LIMIT + 1), until_closed=False)
        welcome = await exchange(place, asking % LIMIT, until_closed=False)

    assert refused.startswith(b"HTTP/1.1 417")
    assert welcome.startswith(b"HTTP/1.1 100")


async def test_who_is_nobody_is_told_before_he_sends_and_may_go_on_with_the_connection() -> None:
    head = b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3000\r\n\r\n"
    app = App()
    async with served(app, {"jwt-auth": JwtAuthOptions()}) as place:
        reader, writer = await asyncio.open_connection(*place)
        for _ in range(2):
            writer.write(head)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 401")
            assert json.loads(await reader.readexactly(length_of(answer)))["message"] == "Unauthorized"
            writer.write(b"x" * 3000)
        writer.close()

    assert app.scopes == []


async def test_who_sends_without_end_in_pieces_is_answered_and_cut_off() -> None:
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    head = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    async with served(App(), limited()) as place:
        # No more than is read to the last byte, or the end of the connection overtakes the answer.
        answer = await exchange(place, (head + piece * 10)[: len(head) + _READ_BYTES])

    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer


async def test_a_body_that_dawdles_is_answered_in_its_time_and_cut_off() -> None:
    plugins = {"request-size-limiting": RequestSizeLimitingOptions(read_timeout_s=0.1)}
    async with served(App(), plugins) as place:
        answer = await exchange(place, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc")

    assert answer.startswith(b"HTTP/1.1 408")


async def test_a_connection_goes_on_though_a_body_was_not_read() -> None:
    app = App({"a": 1})
    async with served(app) as place:
        reader, writer = await asyncio.open_connection(*place)
        for _ in range(3):
            # As much as one likes, and later than the answer.
            writer.write(b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 200000\r\n\r\n")
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
            assert answer.startswith(b"HTTP/1.1 200")
            writer.write(b"x" * 200_000)
            await reader.readuntil(b"0\r\n\r\n")
        writer.close()

    assert app.bodies == [b""] * 3


async def test_an_answer_that_breaks_off_is_cut_off_and_not_ended() -> None:
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("bug")

    async with served(App(handle=breaks)) as place:
        answer = await exchange(place, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")

    assert answer.endswith(b"half")


async def test_a_late_application_is_answered_for_and_the_connection_goes_on() -> None:
    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    async with (
        served(App(handle=never), timeout_s=0.05) as (host, port),
        httpx.AsyncClient(base_url=f"http://{host}:{port}") as client,
    ):
        answers = [await client.get("/") for _ in range(2)]

    assert [one.status_code for one in answers] == [504, 504]


async def test_a_changed_body_has_the_length_that_it_has_now_and_head_none() -> None:
    options = ResponseTransformerOptions.model_validate({"add": {"json": ["made:yes"]}})
    async with (
        served(App({"a": 1}), {"response-transformer": options}) as (host, port),
        httpx.AsyncClient(base_url=f"http://{host}:{port}") as client,
    ):
        got, head = await client.get("/"), await client.head("/")

    assert got.json() == {"a": 1, "made": "yes"}
    assert int(got.headers["content-length"]) == len(json.dumps(got.json()).replace(" ", ""))
    assert (head.status_code, head.content) == (200, b"")
