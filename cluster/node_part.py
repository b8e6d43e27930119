"""The node as the supervisor sees it: its process, the socket to it, and what it says."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cluster.errors import NodeFailedError, ServerStartError
from cluster.node_link import NodeOrder, Servers, encode_order, encode_servers
from cluster.parts import end
from cluster.process import last_lines, spawn
from cluster.status_socket import fetch_status

_STATUS_LIMIT_S = 8.0
_LAST_WORDS_LIMIT_S = 1.0


class NodePart:
    """Starts the node and listens to it. A start after a failure is a whole new node."""

    name = "Node"

    def __init__(
        self,
        order: NodeOrder,
        environment: Mapping[str, str],
        said_up: Callable[[str, float, str], None],
        *,
        timeout_s: float = 180.0,
    ) -> None:
        """Start nothing yet.

        Args:
            order: what it is to run.
            environment: its settings.
            said_up: called with name, seconds and detail for each part of the node that is up.
            timeout_s: for all of its start.
        """
        self._order, self._environment, self._said_up, self._timeout_s = order, environment, said_up, timeout_s
        self._log_path = Path(order.data_dir) / "logs" / "node.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._servers: asyncio.Future[Servers] | None = None
        self.is_ready = False

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        return self._process

    def give(self, servers: "asyncio.Future[Servers]") -> None:
        """Say where the servers are going to be; the node starts what does not need them meanwhile."""
        self._servers = servers

    async def start(self) -> str:
        """Start it and wait until it is ready.

        Raises:
            NodeFailedError: with what it said.
            ServerStartError: it ended without a word, or was not ready in time.
        """
        self.is_ready = False
        began = self._log_path.stat().st_size if self._log_path.exists() else 0
        ours, theirs = socket.socketpair()
        with theirs:
            argv = [sys.executable, "-m", "cluster.node", str(theirs.fileno())]
            # Killed at once when we are: without us nobody would end what it has started.
            self._process = spawn(
                argv,
                log_path=self._log_path,
                death_signal=signal.SIGKILL,
                environment=self._environment,
                pass_fds=(theirs.fileno(),),
            )
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        self._writer.write(encode_order(self._order))
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._listen(self._reader, began)
        except TimeoutError:
            raise ServerStartError(self.name, f"not ready after {self._timeout_s:g} s", self._log_path) from None
        self.is_ready = True
        return f"pid {self._process.pid}"

    async def status(self) -> dict[str, Any]:
        """What the node says of itself; empty where it does not answer."""
        with suppress(OSError, TimeoutError, ValueError):
            return await fetch_status(Path(self._order.run_dir) / "node.sock", timeout_s=_STATUS_LIMIT_S)
        return {}

    async def last_words(self) -> str | None:
        """Why it ended, asked when it has; None where it did not say."""
        if self._reader is None:
            return None
        with suppress(OSError, TimeoutError, ValueError):
            async with asyncio.timeout(_LAST_WORDS_LIMIT_S):
                while received := await self._reader.readline():
                    reason = json.loads(received).get("failed")
                    if reason is not None:
                        return str(reason)
        return None

    async def trouble(self) -> str | None:
        """Its status says it."""
        return None

    async def stop(self, *, timeout_s: float) -> None:
        """Have it drain, or end it when that takes too long."""
        self.is_ready = False
        await end(self._process, signal.SIGTERM, timeout_s=timeout_s)
        if self._writer is not None:
            self._writer.close()

    async def _listen(self, reader: asyncio.StreamReader, began: int) -> None:
        telling = asyncio.create_task(self._tell_servers())
        try:
            while True:
                message = self._message(await reader.readline(), began)
                if "part" in message:
                    self._said_up(message["part"], message["seconds"], message["detail"])
                if "ready" in message:
                    return
        finally:
            telling.cancel()

    async def _tell_servers(self) -> None:
        assert self._servers is not None
        assert self._writer is not None
        # Shielded, for another start of the node waits for the same.
        self._writer.write(encode_servers(await asyncio.shield(self._servers)))

    def _message(self, received: bytes, began: int) -> dict[str, Any]:
        if not received:
            said = last_lines(self._log_path, 5, since=began) or "it ended without a word"
            raise ServerStartError(self.name, said, self._log_path)
        message: dict[str, Any] = json.loads(received)
        if "failed" in message:
            raise NodeFailedError(message["failed"], self._log_path, message["address_taken"])
        return message
