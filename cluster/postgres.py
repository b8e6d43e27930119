"""The embedded PostgreSQL: made once in the data folder, with a database for each shard, and run as our child.

PostgreSQL refuses to run as root; started by root it runs as ``postgres`` or ``nobody``, which then owns its files.
It listens on a Unix socket in the run folder, and on a port of 127.0.0.1 if that is asked for, and wants a password.
"""

import asyncio
import contextlib
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil

from cluster.errors import ServerStartError
from cluster.ports import free_port
from cluster.postgres_access import SUPERUSER, password_of, socket_dsn
from cluster.postgres_files import binary, create_cluster, give, run_as_other
from cluster.postgres_traces import READY, newest, pid_file
from cluster.process import RunAs, last_lines, spawn, stop

SHARD_DATABASES = tuple(f"shard_{shard:02d}" for shard in range(32))
# Two pools of 32 shards and their headroom fit into the connections. The rest suits small transactions on a laptop:
# no just-in-time compiler, no parallel plans, reads without helper processes.
TUNING: Mapping[str, str] = {
    "max_connections": "350",
    "shared_buffers": "256MB",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "io_method": "sync",
    "random_page_cost": "1.1",
    "max_wal_size": "2GB",
    # What a standby that is away has not had yet is kept so far, then the standby is made anew.
    "max_slot_wal_keep_size": "2GB",
    "checkpoint_timeout": "15min",
    "autovacuum": "on",
    # It starts a process for each database in turn, and there are more than thirty.
    "autovacuum_naptime": "5min",
    "max_locks_per_transaction": "256",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The detail of an error may quote a customer's data.
    "log_error_verbosity": "terse",
    "logging_collector": "on",
    "log_filename": "postgres-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_size": "0",
    # After a crash one call syncs the file system, instead of one for each of ten thousand files.
    **({"recovery_init_sync_method": "syncfs"} if sys.platform.startswith("linux") else {}),
}
_STILL_THERE = ("pre-existing shared memory block", "is another postmaster")
_PORTS_TAKEN = ("could not bind", "could not create any TCP/IP sockets")
# What the socket is named by; nothing listens on it, so nobody can take it.
SOCKET_PORT = 5432
# Answered in a byte by a process of the connection's own; hanging up then is logged by nobody.
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_AGAIN_S, _LOOK_S = 0.3, 0.03


@dataclass(slots=True)
class PostgresServer:
    """One embedded server. Owns ``<data_dir>/<name>`` and the socket in ``run_dir``; not safe for two at once.

    ``start`` does all; who must not block calls ``prepare`` in a thread and goes through ``coming_up``.

    Attributes:
        data_dir: of the instance; the cluster's files and the superuser's password stay there.
        run_dir: a short private path for the socket, for a socket's path is limited to 107 bytes.
        tuning: server settings.
        databases: made together with the cluster; whoever sets the shards up makes those that are missing.
        tcp: listens on a port of 127.0.0.1 as well.
        port: part of the socket's name. With ``tcp`` a free one is chosen at the first launch; once it has been
            listened on it is kept, so that clients find a restarted server again.
        name: of the folder of its files.
        config: a file of settings to read in place of the one beside its files; it is to include that.
        before_launch: called whenever it is about to be launched, with the port known; raises to prevent it.
    """

    data_dir: Path
    run_dir: Path
    tuning: Mapping[str, str] = field(default_factory=lambda: TUNING)
    databases: Sequence[str] = SHARD_DATABASES
    environment: Mapping[str, str] | None = None
    tcp: bool = False
    port: int = 0
    name: str = "postgres"
    config: Path | None = None
    before_launch: Callable[[], None] | None = None
    process: subprocess.Popen[bytes] | None = None
    _has_listened: bool = False
    _launched_at: float = 0.0

    @property
    def cluster_dir(self) -> Path:
        """Where PostgreSQL keeps its files."""
        return self.data_dir / self.name

    @property
    def log_path(self) -> Path:
        """What the server says before its own log is open."""
        return self.data_dir / "logs" / f"{self.name}-start.log"

    @property
    def log_dir(self) -> Path:
        """Where its own log is."""
        return self.data_dir / "logs" / self.name

    @property
    def socket_dir(self) -> Path:
        """Where the Unix socket is."""
        return self.run_dir / "pg"

    @property
    def pid(self) -> int:
        """The postmaster's process id; 0 when it was not started."""
        return self.process.pid if self.process is not None else 0

    @property
    def run_as(self) -> RunAs | None:
        """Who runs it, where we may not."""
        return run_as_other(self.data_dir, self.run_dir)

    @property
    def dsn(self) -> str:
        """The superuser's DSN over the Unix socket, naming no database, for asyncpg and psql."""
        return self.database_dsn("")

    @property
    def tcp_dsn(self) -> str:
        """The same over 127.0.0.1."""
        return f"postgresql://{SUPERUSER}:{password_of(self.data_dir)}@127.0.0.1:{self.port}/postgres"

    def database_dsn(self, database: str) -> str:
        """The superuser's DSN of one database."""
        return socket_dsn(self.data_dir, database, str(self.socket_dir), str(self.port))

    def prepare(self, *, make: bool = True) -> None:
        """Make the cluster with its 32 databases unless it is there, and clear what a dead server left. Blocks.

        Args:
            make: False leaves the cluster's files alone.

        Raises:
            ServerStartError: what initdb said.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        run_as = self.run_as
        if make and not (self.cluster_dir / "PG_VERSION").exists():
            create_cluster(self.data_dir, self.cluster_dir, SUPERUSER, self.databases, run_as)
        for folder in (self.socket_dir, self.log_dir):
            folder.mkdir(parents=True, exist_ok=True)
            give(folder, run_as)
        self._end_earlier()

    def launch(self) -> None:
        """Start the server process; it is ready when ``is_ready`` says so. From the main thread."""
        self.port = self.port or (free_port() if self.tcp else SOCKET_PORT)
        if self.before_launch is not None:
            self.before_launch()
        settings = {
            **self.tuning,
            "listen_addresses": "127.0.0.1" if self.tcp else "",
            "port": str(self.port),
            "unix_socket_directories": str(self.socket_dir),
            "log_directory": str(self.log_dir.resolve()),
        }
        argv = [binary("postgres"), "-D", str(self.cluster_dir.resolve())]
        if self.config is not None:
            argv += ["-c", f"config_file={self.config.resolve()}"]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        self._launched_at = time.time()
        # SIGQUIT ends it at once; it recovers from its log at the next start.
        self.process = spawn(
            argv,
            log_path=self.log_path,
            death_signal=signal.SIGQUIT,
            run_as=self.run_as,
            environment=self.environment,
        )

    def is_ready(self) -> bool:
        """Whether the server takes connections.

        Raises:
            ServerStartError: it ended instead.
        """
        if self.process is None or self.process.poll() is not None:
            raise ServerStartError("PostgreSQL", self._last_words(), self.log_path)
        lines = pid_file(self.cluster_dir)
        ready = len(lines) >= 8 and lines[0] == str(self.process.pid) and lines[7] in READY
        self._has_listened = self._has_listened or ready
        return ready

    async def answers(self, limit_s: float) -> bool:
        """Whether it takes up a connection, asked in as much of its protocol as that takes."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(limit_s):
                reader, writer = await asyncio.open_unix_connection(self.socket_dir / f".s.PGSQL.{self.port}")
                try:
                    writer.write(_SSL_REQUEST)
                    return await reader.read(1) in {b"S", b"N"}
                finally:
                    writer.close()
        return False

    def coming_up(self, *, timeout_s: float) -> Iterator[float]:
        """Launch it and see it through until it is ready; who iterates pauses for each number of seconds.

        From the main thread. Ends when it is ready.

        Raises:
            ServerStartError: it did not come up in time; nothing of it runs then.
        """
        deadline = time.monotonic() + timeout_s
        self.launch()
        while True:
            try:
                if self.is_ready():
                    return
            except ServerStartError as error:
                if not self._may_try_again(error) or time.monotonic() > deadline:
                    raise
                yield _AGAIN_S
                self.launch()
                continue
            if time.monotonic() > deadline:
                self.stop(mode="immediate", timeout_s=2.0)
                raise ServerStartError("PostgreSQL", f"not ready after {timeout_s:g} s", self.log_path)
            yield _LOOK_S

    def start(self, *, timeout_s: float = 60.0) -> Self:
        """Prepare, launch and wait. Blocks.

        Raises:
            ServerStartError: it did not come up in time; nothing of it runs then.
        """
        self.prepare()
        for pause_s in self.coming_up(timeout_s=timeout_s):
            time.sleep(pause_s)
        return self

    def stop(self, *, mode: str = "fast", timeout_s: float = 10.0) -> None:
        """End the server: ``fast`` writes everything out, ``immediate`` leaves that to the next start."""
        if self.process is not None:
            stop(self.process, signal.SIGINT if mode == "fast" else signal.SIGQUIT, timeout_s=timeout_s)

    def _may_try_again(self, error: ServerStartError) -> bool:
        """Whether a launch failed for a reason that passes; asked before the next launch."""
        if any(sign in error.reason for sign in _PORTS_TAKEN):
            if not self._has_listened:
                self.port = 0
            return True
        # The last processes of a killed server have not ended yet.
        return any(sign in error.reason for sign in _STILL_THERE)

    def _end_earlier(self) -> None:
        # Who gets here owns the data folder, so a server that still runs in it has lost its supervisor.
        lines = pid_file(self.cluster_dir)
        if not lines or not lines[0].isdigit():
            return
        try:
            earlier = psutil.Process(int(lines[0]))
            if earlier.name() == "postgres" and Path(earlier.cwd()) == self.cluster_dir.resolve():
                earlier.send_signal(signal.SIGQUIT)
                earlier.wait(10)
        except psutil.TimeoutExpired:
            earlier.kill()
        except psutil.Error:
            pass  # it has just ended, or the number is another program's by now
        (self.cluster_dir / "postmaster.pid").unlink(missing_ok=True)

    def _last_words(self) -> str:
        # What went wrong stands in the server's own log as soon as that is open.
        for log in (newest(self.log_dir, since=self._launched_at), self.log_path):
            if log is not None and (said := last_lines(log, 6)):
                return said
        return "it ended without a word"


def start_postgres(data_dir: Path, run_dir: Path, *, tuning: Mapping[str, str] | None = None) -> PostgresServer:
    """Start a server with its 32 databases, on TCP too, and wait until it is ready; end it with its ``stop``."""
    return PostgresServer(data_dir, run_dir, {**TUNING, **(tuning or {})}, tcp=True).start(timeout_s=240.0)
