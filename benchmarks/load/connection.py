"""A keep-alive HTTP/1.1 connection that does no more than a load generator needs, for little CPU."""

import asyncio
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_CHUNKED_END = b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    """Sends one ready request at a time and answers with the status."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._waiter: asyncio.Future[int] | None = None
        self._received = b""

    @classmethod
    async def open(cls, url: str) -> "Connection":
        target = urlsplit(url)
        factory: Callable[[], Connection] = cls
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(factory, target.hostname or "127.0.0.1", target.port or 80)
        return connection

    @property
    def closed(self) -> bool:
        return self._transport is None

    async def exchange(self, request: bytes, timeout_s: float) -> int:
        """Send a request and wait for its whole answer.

        Returns:
            the status; 0 where the connection broke or time ran out, after which it is closed.
        """
        if self._transport is None:
            return 0
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[int] = loop.create_future()
        self._waiter = waiter
        timer = loop.call_later(timeout_s, self.close)
        self._transport.write(request)
        try:
            return await waiter
        finally:
            timer.cancel()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        self.connection_lost(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # whatever broke it, the message counts as not answered
        self._transport = None
        self._answer(0)

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        head_end = self._received.find(_HEAD_END)
        if head_end < 0:
            return
        head = self._received[:head_end].lower()
        start = head.find(_LENGTH)
        if start >= 0:
            length = int(head[start + len(_LENGTH) :].split(b"\r\n", 1)[0])
            complete = len(self._received) >= head_end + len(_HEAD_END) + length
        else:
            complete = self._received.endswith(_CHUNKED_END)
        if not complete:
            return
        status = int(head[9:12])
        self._received = b""
        if b"connection: close" in head and self._transport is not None:
            self._transport.close()
            self._transport = None
        self._answer(status)

    def _answer(self, status: int) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(status)
