"""A status document over a Unix socket, in as much HTTP as that takes: ``GET /status`` answers JSON.

``curl --unix-socket <path> http://localhost/status`` works as well. What may be ordered is a ``POST``, and its answer
JSON too: 200 with what was done, or the status of the error with its ``code`` and ``message``.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from kernel.errors import SpazaError

_LIMIT_BYTES = 4_000_000
_STATUS_LIMIT_S = 10.0
_HEAD = "HTTP/1.0 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

Order = Callable[[Mapping[str, str]], Awaitable[dict[str, Any]]]


async def serve_status(
    path: Path, document: Callable[[], Awaitable[dict[str, Any]]], orders: Mapping[str, Order] | None = None
) -> asyncio.Server:
    """Answer with what ``document`` makes, for who may enter the socket's folder.

    Args:
        path: of the socket.
        document: the status, in a few seconds.
        orders: by path, such as ``/promote``; each is called with the parameters of the query, and ends by itself. It
            goes on when who gave it has gone.
    """

    async def carried_out(order: Order, query: str) -> tuple[int, dict[str, Any]]:
        try:
            return 200, await order(dict(parse_qsl(query)))
        except SpazaError as error:
            return error.http_status, {"code": error.code, "message": str(error)}

    async def answered(line: bytes) -> tuple[int, dict[str, Any]]:
        method, _, rest = line.decode(errors="replace").partition(" ")
        target = urlsplit(rest.partition(" ")[0])
        order = (orders or {}).get(target.path)
        if method == "POST" and order is not None:
            return await carried_out(order, target.query)
        if target.path == "/status":
            async with asyncio.timeout(_STATUS_LIMIT_S):
                return 200, await document()
        return 404, {"message": "There is only /status."}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_STATUS_LIMIT_S):
                line = await reader.readline()
            status, said = await answered(line)
            body = json.dumps(said).encode()
            async with asyncio.timeout(_STATUS_LIMIT_S):
                writer.write((_HEAD % (status, "OK" if status == 200 else "No", len(body))).encode() + body)
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
    _, document = await _asked(path, "GET /status", timeout_s)
    return document


async def give_order(path: Path, target: str, *, timeout_s: float) -> tuple[bool, dict[str, Any]]:
    """Order something, such as ``/promote?switchover=1``; raises as ``fetch_status``.

    Returns:
        Whether it was done, and what was; else ``message`` and, of an error of ours, its ``code``.
    """
    status, said = await _asked(path, f"POST {target}", timeout_s)
    return status == 200, said


async def _asked(path: Path, what: str, timeout_s: float) -> tuple[int, dict[str, Any]]:
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_unix_connection(str(path))
        try:
            writer.write(f"{what} HTTP/1.0\r\n\r\n".encode())
            answer = await reader.read(_LIMIT_BYTES)
            while piece := await reader.read(_LIMIT_BYTES):
                answer += piece
        finally:
            writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError("the status is not an object")  # noqa: TRY004 - of the document, not of an argument
    return int(head.split(b" ", 2)[1]), document
