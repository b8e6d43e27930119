"""The consumer: a mark in Redis, an effect in PostgreSQL, and a line for everything that it was handed.

Of a key it gets several messages at once, and does them in two commits, so that it dies between them as well; and some
it will not do now, so that those behind them have to come again too.
"""

import asyncio
import os
import random
import time
from typing import Any

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from actors.mailbox import Delivery, Outcome, ack, retry_after
from kernel.identifiers import new_id
from services.ledger import Ledger

TABLES = """
CREATE TABLE delivered (at float8, id text, redelivered bool, partition int, batch text, place int);
CREATE TABLE effect (at float8, id text PRIMARY KEY, partition int, published_at float8, number bigserial);
"""
_NOT_NOW = 0.02
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
        handed_at, ledger = time.time(), Ledger(batch)
        left = dict.fromkeys(range(len(batch)))
        try:
            async with self._one, asyncio.timeout(5.0):
                await self._handle(batch, ledger, left, handed_at)
        except _AWAY:
            self._drop()
            again = retry_after(random.uniform(0.1, 0.5), "no database")
            for place in left:
                ledger.settle(place, again)
        outcomes = ledger.outcomes()
        await self._mark([one for one, outcome in zip(batch, outcomes, strict=True) if outcome.kind == "ack"])
        await asyncio.sleep(random.uniform(0.0, 0.02))
        return outcomes

    async def pid(self) -> int:
        return os.getpid()

    async def _handle(self, batch: list[Delivery], ledger: Ledger, left: dict[int, None], handed_at: float) -> None:
        if self._connection is None:
            self._connection = await asyncpg.connect(self._dsn, timeout=2.0)
        await self._connection.executemany(
            "INSERT INTO delivered VALUES ($1, $2, $3, $4, $5, $6)",
            [
                (handed_at, one.message.id, one.redelivered, one.partition, name, place)
                for name in [new_id()]
                for place, one in enumerate(batch)
            ],
        )
        done = await self._done(batch)
        cut = random.randint(0, len(batch))
        for part in (range(cut), range(cut, len(batch))):
            await asyncio.sleep(random.uniform(0.0, 0.01))
            going = [place for place in part if not ledger.postpone([place]) and not _puts_off(ledger, place)]
            for place in set(part).difference(going):
                del left[place]
            await self._take_effect([batch[place] for place in going if batch[place].message.id not in done])
            for place in going:
                ledger.settle(place, ack())
                del left[place]

    async def _take_effect(self, deliveries: list[Delivery]) -> None:
        # Redis' mark is a short cut and no more: it is set after the commit, and the row is what counts.
        await self._connection.executemany(
            "INSERT INTO effect VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            [(time.time(), one.message.id, one.partition, float(one.message.body)) for one in deliveries],
        )

    async def _done(self, batch: list[Delivery]) -> set[str]:
        ids = [one.message.id for one in batch]
        try:
            marks = await self._redis.mget([f"processed:{one}" for one in ids])
        except (RedisError, OSError, TimeoutError):
            return set()
        return {one for one, mark in zip(ids, marks, strict=True) if mark}

    async def _mark(self, batch: list[Delivery]) -> None:
        if not batch:
            return
        try:
            await self._redis.mset({f"processed:{one.message.id}": "1" for one in batch})
        except (RedisError, OSError, TimeoutError):
            return

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
        self._connection = None


def _puts_off(ledger: Ledger, place: int) -> bool:
    puts_off = random.random() < _NOT_NOW
    if puts_off:
        ledger.settle(place, retry_after(random.uniform(0.02, 0.1), "not now"))
    return puts_off
