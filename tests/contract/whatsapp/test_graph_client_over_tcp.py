"""The Graph client over real connections: what can be said of a send when the connection is lost, and when."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from integrations.whatsapp.client import GraphClient, GraphLimits, GraphTimeouts
from integrations.whatsapp.errors import DoubtfulSendError, NotSentError, ThrottledError
from tests.peers import Serve, listening, refused_port

ACCEPTED = b'{"messages":[{"id":"wamid.A"}]}'
PATIENT = GraphTimeouts(connect_s=60.0, read_s=60.0, write_s=60.0, pool_s=60.0)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return head + await reader.readexactly(length)


def answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


@asynccontextmanager
async def graph(serve: Serve, **options: object) -> AsyncIterator[GraphClient]:
    async with listening(serve, asyncio.start_server, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = GraphClient(f"http://127.0.0.1:{port}", "v23.0", **{"timeouts": PATIENT, **options})  # type: ignore[arg-type]
        try:
            yield client
        finally:
            await client.aclose()


async def send(client: GraphClient) -> str:
    return (await client.send("100", "token", {"to": "+27"})).wamid


async def test_a_connection_is_used_again_for_the_next_message() -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for _ in range(3):
            request = await read_request(reader)
            assert request.startswith(b"POST /v23.0/100/messages HTTP/1.1")
            writer.write(answer(ACCEPTED))
            await writer.drain()

    async with graph(serve) as client:
        assert [await send(client) for _ in range(3)] == ["wamid.A"] * 3

    assert connections == 1


async def test_a_refused_connection_has_sent_nothing() -> None:
    with refused_port() as port:
        async with GraphClient(f"http://127.0.0.1:{port}", "v23.0") as client:
            with pytest.raises(NotSentError):
                await send(client)


async def test_a_name_that_does_not_resolve_has_sent_nothing() -> None:
    async with GraphClient("http://graph.invalid", "v23.0") as client:
        with pytest.raises(NotSentError):
            await send(client)


async def test_a_connection_closed_after_the_request_leaves_a_doubt() -> None:
    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await read_request(reader)

    async with graph(serve) as client:
        with pytest.raises(DoubtfulSendError):
            await send(client)


async def test_a_connection_reset_after_the_request_leaves_a_doubt() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.transport.abort()

    async with graph(serve) as client:
        with pytest.raises(DoubtfulSendError):
            await send(client)


async def test_an_answer_that_does_not_come_or_breaks_off_leaves_a_doubt() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await reader.read()

    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer(ACCEPTED)[:-5])
        await writer.drain()

    for serve in (silent, broken):
        async with graph(serve, timeouts=PATIENT._replace(read_s=0.5)) as client:
            with pytest.raises(DoubtfulSendError):
                await send(client)


async def test_a_message_that_gets_no_connection_in_time_was_not_sent() -> None:
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        asked.set()
        await may_answer.wait()
        writer.write(answer(ACCEPTED))
        await writer.drain()

    timeouts = PATIENT._replace(pool_s=0.5)
    async with graph(slow, timeouts=timeouts, limits=GraphLimits(connections=1)) as client:
        first = asyncio.create_task(send(client))
        await asked.wait()
        with pytest.raises(NotSentError):
            await send(client)
        may_answer.set()

        assert await first == "wamid.A"


async def test_an_error_of_graphs_comes_through_as_it_is() -> None:
    async def throttle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer(b'{"error":{"code":130429,"message":"(#130429) Rate limit hit"}}', b"400 Bad Request"))
        await writer.drain()

    async with graph(throttle) as client:
        with pytest.raises(ThrottledError) as caught:
            await send(client)

    assert caught.value.error_code == 130429


@pytest.mark.parametrize("told", [b"", answer(ACCEPTED)[:40], answer(ACCEPTED)[:-5]])
async def test_a_send_that_is_given_up_gives_its_connection_back(told: bytes) -> None:
    connections, asked = 0, asyncio.Event()

    async def once_stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        writer.write(told if connections == 1 else answer(ACCEPTED))
        asked.set()
        await reader.read()

    async with graph(once_stuck, limits=GraphLimits(connections=1)) as client:
        sending = asyncio.create_task(send(client))
        await asked.wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sending, 0.1)

        assert await send(client) == "wamid.A"


@pytest.mark.parametrize(
    "broken", [answer(ACCEPTED)[:-5], b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n" + b"x: y\r\n\r\nno"]
)
async def test_an_answer_that_cannot_be_read_leaves_a_doubt_and_gives_its_connection_back(broken: bytes) -> None:
    connections = 0

    async def once_broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        writer.write(broken if connections == 1 else answer(ACCEPTED))
        await writer.drain()

    async with graph(once_broken, limits=GraphLimits(connections=1)) as client:
        with pytest.raises(DoubtfulSendError):
            await send(client)

        assert await send(client) == "wamid.A"


async def test_nothing_of_one_answer_goes_out_with_the_next_request_and_none_is_followed_elsewhere() -> None:
    requests: list[bytes] = []
    more = b"set-cookie: a=b; Path=/\r\nlocation: /elsewhere\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            try:
                requests.append(await read_request(reader))
            except asyncio.IncompleteReadError:
                return
            writer.write(answer(b"{}", b"302 Found").replace(b"\r\n\r\n", b"\r\n" + more + b"\r\n"))
            await writer.drain()

    async with graph(serve) as client:
        for _ in range(2):
            with pytest.raises(DoubtfulSendError):
                await send(client)

    assert [request.split(b" ", 2)[1] for request in requests] == [b"/v23.0/100/messages"] * 2
    assert b"cookie" not in requests[1].lower()
    assert b"\r\naccept-encoding: identity\r\n" in requests[1].lower()
