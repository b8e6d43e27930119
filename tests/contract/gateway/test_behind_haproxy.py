"""The chain behind HAProxy as it is told to run: who dawdles, and what Serve answers for a replica that is busy."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from cluster.haproxy_config import guarded, shaped
from cluster.node_environment import haproxy_program
from cluster.ports import free_ports
from gateway.answers import refuse
from gateway.asgi import ASGIApp, Receive, Scope, Send
from tests.contract.gateway.test_chain_over_tcp import served
from tests.peers import listening
from tests.unit.cluster.test_haproxy_config import WRITTEN
from tests.unit.gateway.bench import App

Place = tuple[str, int]
BUSY = "/busy"
ID = "0123456789abcdef"


def _configured(port: int, behind: Place, stats: int, metrics: int, within_s: int) -> str:
    """As Ray writes it and we complete it, with a replica, and with a request's time."""
    config = (
        WRITTEN.replace("*:8000", f"127.0.0.1:{port}").replace(":9101", f":{metrics}").replace(":8404", f":{stats}")
    )
    config = shaped(guarded(config, stats_port=stats, metrics_port=metrics))
    limit, nobody = "timeout http-request 10s", "\nbackend default_backend\n"
    assert limit in config
    before, _, rest = config.replace(limit, f"timeout http-request {within_s}s").partition(nobody)
    _, stats_name, after = rest.partition("listen stats\n")
    return f"{before}{nobody}    timeout server 30s\n    server one {behind[0]}:{behind[1]}\n{stats_name}{after}"


@asynccontextmanager
async def haproxy(behind: Place, folder: Path, *, within_s: int = 60, strangers: str = "") -> AsyncIterator[Place]:
    """Where HAProxy is reached, which takes these addresses for those of other machines."""
    port, stats, metrics = free_ports(3)
    file = folder / "haproxy.cfg"
    config = _configured(port, behind, stats, metrics, within_s)
    own = "!{ src 127.0.0.0/8 ::1 }"
    assert own in config
    file.write_text(config.replace(own, f"{{ src {strangers} }}") if strangers else config)
    process = await asyncio.create_subprocess_exec(haproxy_program(), "-f", str(file), "-db")
    try:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                assert process.returncode is None
                await asyncio.sleep(0.02)
                continue
            writer.close()
            break
        yield "127.0.0.1", port
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def as_serve_does(app: ASGIApp) -> ASGIApp:
    """A replica with all that it takes at once answers in Serve's own words."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(BUSY):
            await app(scope, receive, send)
            return
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": b"Request dropped due to backpressure"})

    return serve


async def _unready(scope: Scope, receive: Receive, send: Send) -> None:
    await refuse(scope, send, 503, "Our own words")


async def exchange(place: Place, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """An answer, after which the connection ends."""
    reader, writer = await asyncio.open_connection(*place)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split()[1]), headers, body


def asking(method: str, path: str = "/", *headers: str) -> bytes:
    lines = (f"{method} {path} HTTP/1.1", "Host: a", "Connection: close", f"X-Correlation-ID: {ID}", *headers)
    return "\r\n".join((*lines, "", "")).encode()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_body_that_does_not_come_reaches_no_replica(method: str, tmp_path: Path) -> None:
    app = App()
    async with served(app) as behind, haproxy(behind, tmp_path, within_s=1) as place:
        status, headers, body = await exchange(place, asking(method, "/healthz", "Content-Length: 9"))

    assert (status, app.scopes) == (408, [])
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {
        "message": "The request did not arrive in time", "request_id": headers["x-correlation-id"],
    }  # fmt: skip


async def test_bodies_pass_those_beyond_haproxys_buffer_too(tmp_path: Path) -> None:
    app = App()
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(haproxy(await stack.enter_async_context(served(app)), tmp_path))
        for size in (0, 9, 16_000, 17_000, 300_000):
            status, _, _ = await exchange(place, asking("POST", "/", f"Content-Length: {size}") + b"x" * size)
            assert status == 200

    assert [len(body) for body in app.bodies] == [0, 9, 16_000, 17_000, 300_000]


async def test_what_serve_answers_for_a_busy_replica_has_the_one_shape_and_ours_stays(tmp_path: Path) -> None:
    async with served(App(handle=_unready), around=as_serve_does) as behind, haproxy(behind, tmp_path) as place:
        busy = await exchange(place, asking("GET", BUSY))
        ours = await exchange(place, asking("GET"))

    assert (busy[0], busy[1]["retry-after"], busy[1]["x-correlation-id"]) == (503, "2", ID)
    assert json.loads(busy[2]) == {"message": "Too much is asked at once; try again", "request_id": ID}
    assert (ours[0], json.loads(ours[2])["message"]) == (503, "Our own words")


@asynccontextmanager
async def _that_dies() -> AsyncIterator[Place]:
    """A replica that takes requests and ends before it answers."""

    async def take(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with listening(take, asyncio.start_server, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield host, port


async def test_an_answer_that_was_lost_is_told_with_the_callers_own_id(tmp_path: Path) -> None:
    async with _that_dies() as behind, haproxy(behind, tmp_path) as place:
        status, headers, body = await exchange(place, asking("GET"))

    assert (status, headers["x-correlation-id"]) == (502, ID)
    assert json.loads(body) == {
        "message": "The answer was lost; the request may have been carried out", "request_id": ID,
    }  # fmt: skip


async def test_the_server_itself_is_no_application(tmp_path: Path) -> None:
    app = App()
    async with served(app) as behind, haproxy(behind, tmp_path) as place:
        status, headers, body = await exchange(place, asking("OPTIONS", "*"))

    assert (status, headers["x-correlation-id"], app.scopes) == (404, ID, [])
    assert json.loads(body) == {"message": "There is nothing at this path", "request_id": ID}


@pytest.mark.parametrize("path", ["/-/Routes", "/%2d/routes", "/-%2Froutes", "/%2D%2fhealthz"])
async def test_what_serve_says_of_itself_is_for_this_machine_alone(path: str, tmp_path: Path) -> None:
    app = App()
    async with served(app) as behind, haproxy(behind, tmp_path, strangers="127.0.0.0/8") as place:
        there = await exchange(place, asking("GET", path))
    async with served(app) as behind, haproxy(behind, tmp_path) as place:
        here = await exchange(place, asking("GET", "/-/routes"))

    assert (there[0], json.loads(there[2])["message"]) == (404, "There is nothing at this path")
    assert here[0] == 200


async def test_an_answer_without_the_requests_id_is_given_it(tmp_path: Path) -> None:
    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def without(_app: ASGIApp) -> ASGIApp:
        return bare

    async with served(App(), around=without) as behind, haproxy(behind, tmp_path) as place:
        status, headers, _ = await exchange(place, asking("GET"))

    assert (status, headers["x-correlation-id"]) == (403, ID)


@pytest.mark.parametrize("method", ["QUERY", "FETCH"])
async def test_a_method_that_nobody_knows_is_refused_in_the_one_shape(method: str, tmp_path: Path) -> None:
    app = App()
    async with served(app) as behind, haproxy(behind, tmp_path) as place:
        status, headers, body = await exchange(place, asking(method))

    assert (status, headers["x-correlation-id"], app.scopes) == (405, ID, [])
    assert headers["allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE"
    assert json.loads(body) == {"message": "There is no such method", "request_id": ID}
