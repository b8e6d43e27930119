"""The other side of a connection in tests: a server of a few lines, of which nothing is left open at the end."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve, start: Callable[..., Awaitable[asyncio.Server]], *where: Any) -> AsyncIterator[Any]:
    """Serve each connection, and close it when that has ended; at the end all of them.

    Args:
        serve: one connection.
        start: ``asyncio.start_server`` or ``asyncio.start_unix_server``.
        where: what that wants.
    """
    serving: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def to_its_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    # No coroutine, which might be cancelled before it begins.
    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        task = asyncio.get_running_loop().create_task(to_its_end(reader, writer))
        serving.add(task)

    server = await start(connected, *where)
    try:
        yield server
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
        # They are closed in the next turn of the loop.
        await asyncio.sleep(0)
        await server.wait_closed()


@contextmanager
def refused_port() -> Iterator[int]:
    """A port of 127.0.0.1 at which every connection is refused: it is held meanwhile, and nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
