"""Servers that the settings name: not started, only checked."""

from urllib.parse import urlsplit

import asyncpg
import redis.asyncio
from redis.exceptions import RedisError

from actors.shards.dsn import PLACEHOLDER, maintenance_dsn, shard_dsn
from cluster.errors import ServerUnreachableError

_LIMIT_S = 5.0


class GivenPostgres:
    """A PostgreSQL that the settings name: only checked."""

    name = "PostgreSQL"
    process = None

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def start(self) -> str:
        try:
            # Without a placeholder the shards' databases may still have to be made.
            given = self._dsn
            dsn = shard_dsn(given, 0) if PLACEHOLDER in given else maintenance_dsn(given)
            connection = await asyncpg.connect(dsn, timeout=_LIMIT_S)
            await connection.close(timeout=_LIMIT_S)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError, ValueError) as error:
            raise ServerUnreachableError(self.name, "SPAZA_POSTGRES__DSN", _reason(error)) from error
        return f"{_host(self._dsn)} (given)"

    async def stop(self, *, timeout_s: float) -> None:
        """Not ours to end."""


class GivenRedis:
    """A Redis that the settings name: only checked."""

    name = "Redis"
    process = None

    def __init__(self, url: str) -> None:
        self._url = url

    async def start(self) -> str:
        try:
            client = redis.asyncio.from_url(
                self._url, socket_connect_timeout=_LIMIT_S, socket_timeout=_LIMIT_S, retry=None
            )
            async with client:
                await client.ping()
        except (OSError, RedisError, ValueError) as error:
            raise ServerUnreachableError(self.name, "SPAZA_REDIS__URL", _reason(error)) from error
        return f"{_host(self._url)} (given)"

    async def stop(self, *, timeout_s: float) -> None:
        """Not ours to end."""


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2] or "a Unix socket"


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
