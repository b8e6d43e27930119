"""The other side of a connection in tests: a server of a few lines, of which nothing is left open at the end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
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
        await server.wait_closed()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
        # They are closed in the next turn of the loop.
        await asyncio.sleep(0)
