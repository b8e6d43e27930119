"""One server of a group, as the supervisor sees it."""

import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil

from cluster.parts import SILENT, end
from cluster.postgres import PostgresServer
from cluster.process import RunAs
from cluster.replicas.roles import part_name, slot_name

_ANSWER_LIMIT_S = 2.0


class Member:
    """A server that is the primary or a standby. Which of them, and how it starts, the group decides."""

    def __init__(self, number: int, server: PostgresServer, start: Callable[["Member"], Awaitable[str]]) -> None:
        self.number, self.server, self._start = number, server, start
        self.name, self.slot = part_name(number), slot_name(number)

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        return self.server.process

    @property
    def folder(self) -> Path:
        """Of its files."""
        return self.server.cluster_dir

    @property
    def dsn(self) -> str:
        """The superuser's, of this server alone."""
        return self.server.database_dsn("postgres")

    @property
    def run_as(self) -> RunAs | None:
        """Who owns its files and runs its programs, where we may not."""
        return self.server.run_as

    async def start(self) -> str:
        return await self._start(self)

    async def trouble(self) -> str | None:
        return None if await self.server.answers(_ANSWER_LIMIT_S) else SILENT

    async def stop(self, *, timeout_s: float) -> None:
        await end(self.process, signal.SIGINT, timeout_s=timeout_s, last=signal.SIGQUIT)

    def reread(self) -> None:
        """Have it read its settings again."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGHUP)

    def running(self) -> list[psutil.Process]:
        """All processes that work on its files; those of a server that was killed go on for a moment."""
        here, found = self.folder.resolve(), []
        for one in psutil.process_iter(["pid"]):
            try:
                if one.name() == "postgres" and Path(one.cwd()) == here and one.status() != psutil.STATUS_ZOMBIE:
                    found.append(one)
            except (psutil.Error, OSError):
                continue
        return found
