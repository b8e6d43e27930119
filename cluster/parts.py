"""The parts of an instance as the supervisor sees them: each can be started, watched, and ended within a limit."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from cluster.errors import ClusterError, PortTakenError, ServerStartError
from cluster.ports import holder_of, listens
from cluster.postgres import PostgresServer
from cluster.process import last_lines, spawn
from cluster.redis_server import RedisServer

SANDBOX_PORT: Final = "SPAZA_SANDBOX__PORT"
SANDBOX_PURPOSE: Final = "the sandbox"
_POLL_S = 0.03
_ANSWER_LIMIT_S = 2.0
SILENT = "runs, and does not answer"
# As from an upgraded number and to anybody: at the rates of Meta's ordinary numbers, a rush of messages would wait for
# minutes. Whoever wants those turns the knobs.
_SANDBOX_KNOBS = ("pair_limit=false", "throughput_mps=1000")


class Part(Protocol):
    """One part. ``start`` is called again after the process has ended by itself."""

    name: str

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The process to watch; None for what we do not run."""

    async def start(self) -> str:
        """Start it, wait until it can be used, and say in a few words where it is."""

    async def trouble(self) -> str | None:
        """What is wrong with it, though it has been started; None where it answers. Does not take long."""

    async def stop(self, *, timeout_s: float) -> None:
        """End it, by force when it takes longer."""


class EmbeddedPostgres:
    """Our own PostgreSQL."""

    name = "PostgreSQL"

    def __init__(self, server: PostgresServer, *, timeout_s: float = 60.0) -> None:
        self.server, self._timeout_s = server, timeout_s

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        return self.server.process

    async def start(self) -> str:
        await asyncio.to_thread(self.server.prepare)
        for pause_s in self.server.coming_up(timeout_s=self._timeout_s):
            await asyncio.sleep(pause_s)
        return str(self.server.socket_dir)

    async def trouble(self) -> str | None:
        return None if await self.server.answers(_ANSWER_LIMIT_S) else SILENT

    async def stop(self, *, timeout_s: float) -> None:
        await end(self.process, signal.SIGINT, timeout_s=timeout_s, last=signal.SIGQUIT)


class EmbeddedRedis:
    """Our own Redis."""

    name = "Redis"

    def __init__(self, server: RedisServer, *, timeout_s: float = 30.0) -> None:
        self.server, self._timeout_s = server, timeout_s

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        return self.server.process

    async def start(self) -> str:
        for pause_s in self.server.coming_up(timeout_s=self._timeout_s):
            await asyncio.sleep(pause_s)
        return str(self.server.socket_path)

    async def trouble(self) -> str | None:
        with suppress(ServerStartError):
            if await asyncio.to_thread(self.server.is_ready):
                return None
        return SILENT

    async def stop(self, *, timeout_s: float) -> None:
        await end(self.process, signal.SIGTERM, timeout_s=timeout_s)


class Sandbox:
    """The stand-in of the outside world, a process of its own."""

    name = "Sandbox"

    def __init__(
        self, port: int, callback_url: str, data_dir: Path, environment: Mapping[str, str], *, timeout_s: float = 30.0
    ) -> None:
        self._port, self._callback_url, self._timeout_s = port, callback_url, timeout_s
        self._kept, self._environment = data_dir / "sandbox", environment
        self._log_path = data_dir / "logs" / "sandbox.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        return self._process

    async def start(self) -> str:
        self._kept.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "cluster.sandbox", "--port", str(self._port), "--data-dir", str(self._kept)]
        began = self._log_path.stat().st_size if self._log_path.exists() else 0
        self._process = spawn(
            [*argv, "--callback-url", self._callback_url, *(f"--knob={knob}" for knob in _SANDBOX_KNOBS)],
            log_path=self._log_path,
            environment=self._environment,
        )
        deadline = time.monotonic() + self._timeout_s
        # Whoever else has the port may answer there as well.
        while not (listens(self._process.pid, self._port) and await _answers(self._port, "/healthz")):
            if self._process.poll() is not None:
                raise self._failure(began)
            if time.monotonic() > deadline:
                raise ServerStartError(self.name, f"not ready after {self._timeout_s:g} s", self._log_path)
            await asyncio.sleep(_POLL_S)
        return f"http://127.0.0.1:{self._port}"

    async def trouble(self) -> str | None:
        return None if await _answers(self._port, "/healthz") else SILENT

    def _failure(self, began: int) -> ClusterError:
        said = last_lines(self._log_path, 3, since=began)
        if os.strerror(errno.EADDRINUSE) in said:
            holder = holder_of(self._port) or "another program"
            return PortTakenError(self._port, SANDBOX_PURPOSE, SANDBOX_PORT, holder)
        return ServerStartError(self.name, said or "it ended without a word", self._log_path)

    async def stop(self, *, timeout_s: float) -> None:
        await end(self._process, signal.SIGTERM, timeout_s=timeout_s)


async def end(
    process: subprocess.Popen[bytes] | None, first: int, *, timeout_s: float, last: int = signal.SIGKILL
) -> None:
    """Ask a process to end, and insist when it has not within the limit; return when it is gone."""
    if process is None:
        return
    for number, limit_s in ((first, timeout_s), (last, 1.0), (signal.SIGKILL, 1.0)):
        if process.poll() is not None:
            return
        process.send_signal(number)
        deadline = time.monotonic() + limit_s
        while process.poll() is None and time.monotonic() < deadline:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(_POLL_S)


async def _answers(port: int, path: str) -> bool:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_ANSWER_LIMIT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    return False
