"""The consumer: a mark in Redis, an effect in PostgreSQL, and a line for everything that it was handed."""

import asyncio
import os
import random
import time
from typing import Any

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from actors.mailbox import Delivery, Outcome, ack, retry_after

TABLES = """
CREATE TABLE delivered (at float8, id text, redelivered bool, partition int);
CREATE TABLE effect (at float8, id text PRIMARY KEY, partition int, published_at float8);
"""
_AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class RecordingConsumer:
    """Writes down first what it got, then does it. May be killed in between, and after, before it has answered."""

    def __init__(self, dsn: str, redis_url: str) -> None:
        self._dsn, self._redis = dsn, Redis.from_url(redis_url, socket_timeout=0.3, socket_connect_timeout=0.3)
        self._connection: Any = None
        self._one = asyncio.Lock()

    async def consume(self, batch: list[Delivery]) -> list[Outcome]:
        if not batch:
            return []
        handed_at = time.time()
        try:
            async with asyncio.timeout(5.0), self._one:
                await self._handle(batch, handed_at)
        except _AWAY:
            self._drop()
            return [retry_after(random.uniform(0.1, 0.5), "no database")] * len(batch)
        await self._mark(batch)
        await asyncio.sleep(random.uniform(0.0, 0.02))
        return [ack()] * len(batch)

    async def pid(self) -> int:
        return os.getpid()

    async def _handle(self, batch: list[Delivery], handed_at: float) -> None:
        if self._connection is None:
            self._connection = await asyncpg.connect(self._dsn, timeout=2.0)
        await self._connection.executemany(
            "INSERT INTO delivered VALUES ($1, $2, $3, $4)",
            [(handed_at, one.message.id, one.redelivered, one.partition) for one in batch],
        )
        done = await self._done(batch)
        await asyncio.sleep(random.uniform(0.0, 0.02))
        # Redis' mark is a short cut and no more: it is set after the commit, and the row is what counts.
        await self._connection.executemany(
            "INSERT INTO effect VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            [
                (time.time(), one.message.id, one.partition, float(one.message.body))
                for one in batch
                if one.message.id not in done
            ],
        )

    async def _done(self, batch: list[Delivery]) -> set[str]:
        ids = [one.message.id for one in batch]
        try:
            marks = await self._redis.mget([f"processed:{one}" for one in ids])
        except (RedisError, OSError, TimeoutError):
            return set()
        return {one for one, mark in zip(ids, marks, strict=True) if mark}

    async def _mark(self, batch: list[Delivery]) -> None:
        try:
            await self._redis.mset({f"processed:{one.message.id}": "1" for one in batch})
        except (RedisError, OSError, TimeoutError):
            return

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
        self._connection = None
