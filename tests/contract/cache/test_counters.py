"""Counters in a real Redis."""

import asyncio
from typing import NamedTuple

from cache.connection import RedisConnection
from cache.counters import RedisCounters


class Value(NamedTuple):
    key: str
    value: int
    kept_s: float


async def test_numbers_are_read_back_in_order_and_what_is_not_there_is_nothing(connection: RedisConnection) -> None:
    counters = RedisCounters(connection.url)

    assert await counters.write([Value("rate_limit:a:x:minute:1", 3, 60.0), Value("rate_limit:a:x:hour:1", 7, 60.0)])

    keys = ["rate_limit:a:x:hour:1", "rate_limit:b:x:hour:1", "rate_limit:a:x:minute:1"]
    assert await counters.read(keys) == [7, 0, 3]
    assert await counters.read([]) == []
    await counters.aclose()


async def test_each_number_has_its_time(connection: RedisConnection) -> None:
    counters = RedisCounters(connection.url)

    await counters.write([Value("short", 1, 0.001), Value("minute", 2, 60.0), Value("hour", 3, 3600.0)])
    await asyncio.sleep(0.05)

    assert await counters.read(["short"]) == [0]
    lives = [await connection.client.ttl(name) for name in ("minute", "hour")]
    assert 55 <= lives[0] <= 60
    assert 3595 <= lives[1] <= 3600
    await counters.aclose()


async def test_a_later_value_takes_the_place_of_the_one_before(connection: RedisConnection) -> None:
    counters = RedisCounters(connection.url)

    for value in (1, 5):
        await counters.write([Value("a", value, 60.0)])

    assert await counters.read(["a"]) == [5]
    await counters.aclose()


async def test_what_somebody_else_put_there_counts_as_nothing(connection: RedisConnection) -> None:
    await connection.client.set("text", "twelve")
    await connection.client.set("negative", "-5")
    await connection.client.sadd("set", "7")
    counters = RedisCounters(connection.url)

    assert await counters.read(["text", "negative", "set"]) == [0, 0, 0]
    await counters.aclose()


async def test_without_redis_that_is_said_and_nothing_is_raised() -> None:
    counters = RedisCounters("redis://127.0.0.1:1/0")

    assert await counters.read(["a"]) is None
    assert not await counters.write([Value("a", 1, 60.0)])
    await counters.aclose()
