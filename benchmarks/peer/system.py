"""The peer as a system: its servers and its two programs, started and ended together."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import psutil

from benchmarks.handshake import wait_for_handshake
from benchmarks.merchants import APP_SECRET, VERIFY_TOKEN, merchants
from benchmarks.peer.environment import WEBHOOK_PATH, PeerEnvironment
from benchmarks.peer.rabbitmq import RabbitMq, find_rabbitmq
from benchmarks.system import UnavailableError
from cluster.ports import free_port
from cluster.postgres import PostgresServer, start_postgres
from cluster.process import spawn, stop
from cluster.redis_server import RedisServer, start_redis
from kernel.identifiers import new_id
from kernel.sql import load_queries

_HERE = Path(__file__).parent
_START_LIMIT_S = 30.0
_STOP_LIMIT_S = 10.0
# The cluster comes with the shards' databases; the peer puts all its tables into one of them.
_DATABASE = "shard_00"
_ROLES = {
    "uvicorn": "uvicorn",
    "multiprocessing": "uvicorn",
    "benchmarks.peer.consumer": "consumer",
    "postgres": "PostgreSQL",
    "redis-server": "Redis",
    "beam.smp": "RabbitMQ",
    "erl_child_setup": "RabbitMQ",
    "inet_gethost": "RabbitMQ",
    "epmd": "RabbitMQ",
    "rabbit": "RabbitMQ",
}


@dataclass(slots=True)
class Tuning:
    """What may be turned at the peer to find its best."""

    prefetch: int = 128
    concurrency: int = 64
    pool_size: int = 16


class PeerSystem:
    """The fair peer. Owns ``directory``; the same PostgreSQL and Redis binaries and settings as Spaza's own."""

    name = "peer"

    def __init__(self, directory: Path, run_dir: Path, tuning: Tuning) -> None:
        self._directory = directory
        self._run_dir = run_dir
        self._tuning = tuning
        self._port = 0
        self._postgres: PostgresServer | None = None
        self._redis: RedisServer | None = None
        self._rabbitmq: RabbitMq | None = None
        self._programs: dict[str, subprocess.Popen[bytes]] = {}
        self._environment: PeerEnvironment | None = None

    @property
    def webhook_url(self) -> str:
        return f"http://127.0.0.1:{self._port}{WEBHOOK_PATH}"

    def prepare(self, graph_url: str) -> None:
        self._rabbitmq = RabbitMq(require_rabbitmq(), self._directory / "rabbitmq")
        self._run_dir.mkdir(parents=True, exist_ok=True)
        try:
            self.start(graph_url, 1)
        finally:
            self.stop()

    def start(self, graph_url: str, http_processes: int) -> None:
        assert self._rabbitmq is not None
        self._postgres = start_postgres(self._directory, self._run_dir)
        self._redis = start_redis(self._directory, self._run_dir)
        self._rabbitmq.start()
        self._environment = PeerEnvironment(
            amqp_url=self._rabbitmq.url,
            postgres_dsn=self._postgres.database_dsn(_DATABASE),
            redis_url=self._redis.url,
            graph_url=graph_url,
            app_secret=APP_SECRET,
            verify_token=VERIFY_TOKEN,
            prefetch=self._tuning.prefetch,
            concurrency=self._tuning.concurrency,
            pool_size=self._tuning.pool_size,
        )
        asyncio.run(_provision(self._environment.postgres_dsn))
        self._port = free_port()
        self._spawn(
            "uvicorn",
            [
                *("uvicorn", "benchmarks.peer.webhook:create_app", "--factory"),
                *("--host", "127.0.0.1", "--port", str(self._port), "--workers", str(http_processes)),
                *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
            ],
        )
        self.resume()
        log_path = self._directory / "logs" / "uvicorn.log"
        wait_for_handshake(self.webhook_url, self._programs["uvicorn"], log_path, limit_s=_START_LIMIT_S)

    def stop(self) -> None:
        for program in list(self._programs):
            self._end(program)
        if self._rabbitmq is not None:
            self._rabbitmq.stop()
        if self._redis is not None:
            self._redis.stop()
        if self._postgres is not None:
            self._postgres.stop()

    def pause(self) -> None:
        self._end("consumer")

    def resume(self) -> None:
        self._spawn("consumer", ["benchmarks.peer.consumer"])

    def processes(self) -> list[psutil.Process]:
        roots = [
            *self._programs.values(),
            *(server.process for server in (self._postgres, self._redis, self._rabbitmq) if server is not None),
            self._rabbitmq.port_mapper if self._rabbitmq is not None else None,
        ]
        found: list[psutil.Process] = []
        for root in roots:
            if root is not None and root.poll() is None:
                process = psutil.Process(root.pid)
                found += [process, *process.children(recursive=True)]
        return found

    def role(self, command_line: str) -> str:
        return next((role for sign, role in _ROLES.items() if sign in command_line), "other")

    def _spawn(self, program: str, module: list[str]) -> None:
        assert self._environment is not None
        self._programs[program] = spawn(
            [sys.executable, "-m", *module],
            log_path=self._directory / "logs" / f"{program}.log",
            environment={**os.environ, **self._environment.as_variables()},
        )

    def _end(self, program: str) -> None:
        running = self._programs.pop(program, None)
        if running is not None:
            stop(running, signal.SIGTERM, timeout_s=_STOP_LIMIT_S)


def require_rabbitmq() -> str:
    """The program that starts RabbitMQ.

    Raises:
        UnavailableError: the server or its client library is not installed.
    """
    program = find_rabbitmq()
    if program is None or shutil.which("epmd") is None:
        raise UnavailableError("rabbitmq-server is not installed (Debian: apt-get install rabbitmq-server)")
    for module in ("aio_pika", "fastapi"):
        if find_spec(module) is None:
            raise UnavailableError(f"the Python package {module} is not installed (it is in the extra 'dev')")
    return program


async def _provision(dsn: str) -> None:
    queries = load_queries(_HERE / "queries.sql")
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute((_HERE / "schema.sql").read_text(encoding="utf-8"))
        for one in merchants():
            await connection.execute(
                queries["insert_tenant"], new_id(), one.phone_number_id, one.name, one.access_token
            )
    finally:
        await connection.close()
