"""Servers that the settings name: not started, only checked."""

from urllib.parse import urlsplit

import asyncpg
import redis.asyncio
from redis.exceptions import RedisError

from actors.shards.dsn import PLACEHOLDER, maintenance_dsn, shard_dsn
from actors.shards.finding import connect
from cluster.connections import wanted
from cluster.errors import ServerTooSmallError, ServerUnreachableError
from config.topology import Topology

_LIMIT_S = 5.0
_CONNECTIONS = """
    SELECT allowed, allowed - reserved - taken FROM (
        SELECT current_setting('max_connections')::int AS allowed,
               current_setting('superuser_reserved_connections')::int
                   + coalesce(current_setting('reserved_connections', true), '0')::int AS reserved,
               (SELECT count(*)::int FROM pg_stat_activity
                WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) AS taken
    ) AS figures
"""


class GivenPostgres:
    """A PostgreSQL that the settings name: only checked."""

    name = "PostgreSQL"
    process = None

    def __init__(self, dsn: str, topology: Topology, app_connections: int) -> None:
        self._dsn, self._topology, self._app_connections = dsn, topology, app_connections

    async def start(self) -> str:
        allowed, left = await self._connections()
        least, most = wanted(self._dsn, self._topology, self._app_connections)
        if left < least:
            raise ServerTooSmallError(left, least, most, allowed)
        few = f"; {left} connections are left, and up to {most} wanted" if left < most else ""
        return f"{_host(self._dsn)} (given{few})"

    async def trouble(self) -> str | None:
        try:
            await self._connections()
        except ServerUnreachableError as error:
            return f"does not answer: {error.reason}"
        return None

    async def _connections(self) -> tuple[int, int]:
        """How many the server allows to such as us, and how many of them are left."""
        try:
            # Without a placeholder the shards' databases may still have to be made.
            given = self._dsn
            dsn = shard_dsn(given, 0) if PLACEHOLDER in given else maintenance_dsn(given)
            connection = await connect(dsn, timeout_s=_LIMIT_S)
            try:
                rows = await connection.fetch(_CONNECTIONS, timeout=_LIMIT_S)
            finally:
                await connection.close(timeout=_LIMIT_S)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError, ValueError) as error:
            raise ServerUnreachableError(self.name, "SPAZA_POSTGRES__DSN", _reason(error)) from error
        allowed, left = rows[0]
        return allowed, left

    async def stop(self, *, timeout_s: float) -> None:
        """Not ours to end."""


class GivenRedis:
    """A Redis that the settings name: only checked."""

    name = "Redis"
    process = None

    def __init__(self, url: str) -> None:
        self._url = url

    async def start(self) -> str:
        await self._ping()
        return f"{_host(self._url)} (given)"

    async def trouble(self) -> str | None:
        try:
            await self._ping()
        except ServerUnreachableError as error:
            return f"does not answer: {error.reason}"
        return None

    async def _ping(self) -> None:
        try:
            client = redis.asyncio.from_url(
                self._url, socket_connect_timeout=_LIMIT_S, socket_timeout=_LIMIT_S, retry=None
            )
            async with client:
                await client.ping()
        except (OSError, RedisError, ValueError) as error:
            raise ServerUnreachableError(self.name, "SPAZA_REDIS__URL", _reason(error)) from error

    async def stop(self, *, timeout_s: float) -> None:
        """Not ours to end."""


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2] or "a Unix socket"


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
