"""The Graph client over real connections: what can be said of a send when the connection is lost, and when."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from cluster.ports import free_port
from integrations.whatsapp.client import GraphClient, GraphLimits, GraphTimeouts
from integrations.whatsapp.errors import DoubtfulSendError, NotSentError, ThrottledError

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ACCEPTED = b'{"messages":[{"id":"wamid.A"}]}'
QUICK = GraphTimeouts(connect_s=0.5, read_s=0.2, write_s=0.5, pool_s=0.2)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return head + await reader.readexactly(length)


def answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


@asynccontextmanager
async def graph(serve: Serve, **options: object) -> AsyncIterator[GraphClient]:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = GraphClient(f"http://127.0.0.1:{port}", "v23.0", **{"timeouts": QUICK, **options})  # type: ignore[arg-type]
    try:
        yield client
    finally:
        await client.aclose()
        server.close()
        await server.wait_closed()


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
    async with GraphClient(f"http://127.0.0.1:{free_port()}", "v23.0") as client:
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
        await asyncio.sleep(1)

    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer(ACCEPTED)[:-5])
        await writer.drain()

    for serve in (silent, broken):
        async with graph(serve) as client:
            with pytest.raises(DoubtfulSendError):
                await send(client)


async def test_a_message_that_gets_no_connection_in_time_was_not_sent() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await asyncio.sleep(1)
        writer.write(answer(ACCEPTED))

    timeouts = QUICK._replace(read_s=3.0)
    async with graph(slow, timeouts=timeouts, limits=GraphLimits(connections=1)) as client:
        results = await asyncio.gather(send(client), send(client), return_exceptions=True)

    assert sorted(type(result).__name__ for result in results) == ["NotSentError", "str"]


async def test_an_error_of_graphs_comes_through_as_it_is() -> None:
    async def throttle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer(b'{"error":{"code":130429,"message":"(#130429) Rate limit hit"}}', b"400 Bad Request"))
        await writer.drain()

    async with graph(throttle) as client:
        with pytest.raises(ThrottledError) as caught:
            await send(client)

    assert caught.value.error_code == 130429
