"""Real servers for tests: one embedded PostgreSQL and one Redis for a test run, on private sockets and free ports."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cache.connection import RedisTimeouts
from cluster.postgres import PostgresServer, start_postgres
from cluster.redis_server import RedisServer

# For an answer that is to come, however busy the machine is.
PATIENT_REDIS: Final = RedisTimeouts(connect_s=60.0, command_s=60.0)
# Nothing has to survive a test.
_SMALL = {"shared_buffers": "64MB", "fsync": "off"}


@contextmanager
def postgres(folder: Path) -> Iterator[PostgresServer]:
    """A server with its 32 empty databases. Its files and its socket are in the folder, whose path must be short."""
    (folder / "run").mkdir(parents=True, exist_ok=True)
    server = start_postgres(folder / "data", folder / "run", tuning=_SMALL)
    try:
        yield server
    finally:
        server.stop(mode="immediate")


@contextmanager
def redis(folder: Path) -> Iterator[RedisServer]:
    """A Redis on a socket in the folder."""
    server = RedisServer(folder / "data", folder / "run").start(timeout_s=120.0)
    try:
        yield server
    finally:
        server.stop()
