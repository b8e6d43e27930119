"""A status document over a Unix socket, in as much HTTP as that takes: ``GET /status`` answers JSON.

``curl --unix-socket <path> http://localhost/status`` works as well.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

_LIMIT_BYTES = 4_000_000


async def serve_status(path: Path, document: Callable[[], Awaitable[dict[str, Any]]]) -> asyncio.Server:
    """Answer with what ``document`` makes, for who may enter the socket's folder."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(10.0):
                request = await reader.readline()
                found = request.split(b" ")[1:2] == [b"/status"]
                body = json.dumps(await document() if found else {"message": "There is only /status."}).encode()
                status = b"200 OK" if found else b"404 Not Found"
                head = b"HTTP/1.0 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                writer.write(head % (status, len(body)) + body)
                await writer.drain()
        except (OSError, TimeoutError):
            pass  # who asked has gone or will not read; nothing is lost
        finally:
            writer.close()

    # Its folder is the owner's; a socket left from an earlier node is replaced.
    path.unlink(missing_ok=True)  # noqa: ASYNC240 - takes microseconds
    return await asyncio.start_unix_server(answer, str(path))


async def fetch_status(path: Path, *, timeout_s: float) -> dict[str, Any]:
    """Ask for the document.

    Raises:
        OSError: nobody answers there.
        TimeoutError: not in time.
        ValueError: what answers makes no sense.
    """
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_unix_connection(str(path))
        try:
            writer.write(b"GET /status HTTP/1.0\r\n\r\n")
            answer = await reader.read(_LIMIT_BYTES)
            while piece := await reader.read(_LIMIT_BYTES):
                answer += piece
        finally:
            writer.close()
    document = json.loads(answer.partition(b"\r\n\r\n")[2])
    if not isinstance(document, dict):
        raise ValueError("the status is not an object")  # noqa: TRY004 - of the document, not of an argument
    return document
