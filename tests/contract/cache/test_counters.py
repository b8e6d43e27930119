"""Counters in a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from cache.connection import RedisConnection
from cache.counters import Limited, RedisCounters, RedisTaking
from tests.servers import PATIENT_REDIS


class Value(NamedTuple):
    key: str
    value: int
    kept_s: float

    @property
    def aside_key(self) -> str:
        return f"aside:{self.key}"


@pytest.fixture
async def taking(connection: RedisConnection) -> AsyncIterator[RedisTaking]:
    one = RedisTaking(connection.url, timeouts=PATIENT_REDIS)
    yield one
    await one.aclose()


def limited(limit: int, *keys: str, kept_s: float = 60.0) -> list[Limited]:
    return [Limited(key, f"aside:{key}", limit, kept_s) for key in keys]


async def test_numbers_are_read_back_in_order_and_what_is_not_there_is_nothing(connection: RedisConnection) -> None:
    counters = RedisCounters(connection.url, timeouts=PATIENT_REDIS)

    values = [Value("rate_limit:a:x:minute:1", 3, 60.0), Value("rate_limit:a:x:hour:1", 7, 60.0)]
    assert await counters.write(values) == [0, 0]
    assert await counters.write([]) == []

    keys = ["rate_limit:a:x:hour:1", "rate_limit:b:x:hour:1", "rate_limit:a:x:minute:1"]
    assert await counters.read(keys) == [7, 0, 3]
    assert await counters.read([]) == []
    await counters.aclose()


async def test_each_number_has_its_time(connection: RedisConnection) -> None:
    counters = RedisCounters(connection.url, timeouts=PATIENT_REDIS)

    await counters.write([Value("short", 1, 0.001), Value("minute", 2, 60.0), Value("hour", 3, 3600.0)])
    await asyncio.sleep(0.05)

    assert await counters.read(["short"]) == [0]
    lives = [await connection.client.ttl(name) for name in ("minute", "hour")]
    assert 55 <= lives[0] <= 60
    assert 3595 <= lives[1] <= 3600
    await counters.aclose()


async def test_a_later_value_takes_the_place_of_the_one_before(connection: RedisConnection) -> None:
    counters = RedisCounters(connection.url, timeouts=PATIENT_REDIS)

    for value in (1, 5):
        await counters.write([Value("a", value, 60.0)])

    assert await counters.read(["a"]) == [5]
    await counters.aclose()


async def test_what_somebody_else_put_there_counts_as_nothing(connection: RedisConnection, taking: RedisTaking) -> None:
    await connection.client.set("text", "twelve")
    await connection.client.set("negative", "-5")
    await connection.client.sadd("set", "7")
    counters = RedisCounters(connection.url, timeouts=PATIENT_REDIS)

    assert await counters.read(["text", "negative", "set"]) == [0, 0, 0]
    await connection.client.sadd("aside:set", "7")
    assert await counters.write([Value("set", 2, 60.0), Value("text", 3, 60.0)]) == [0, 0]
    assert await taking.take(limited(5, "negative", "set"), 2) == [2, 4, 2]
    await counters.aclose()


async def test_many_take_together_no_more_than_is_left_of_the_least(
    connection: RedisConnection, taking: RedisTaking
) -> None:
    counters = RedisCounters(connection.url, timeouts=PATIENT_REDIS)
    await counters.write([Value("minute", 4, 60.0), Value("hour", 40, 60.0)])
    windows = [*limited(10, "minute"), *limited(44, "hour")]

    taken = [found[-1] for found in await asyncio.gather(*(taking.take(windows, 1) for _ in range(600))) if found]

    assert (len(taken), sum(taken)) == (600, 4)
    assert await taking.take(windows, 0) == [8, 44, 0]
    assert await counters.read(["minute", "hour", "aside:minute", "aside:hour"]) == [8, 44, 4, 4]
    await counters.aclose()


async def test_what_is_left_is_taken_where_less_will_do(taking: RedisTaking) -> None:
    assert await taking.take(limited(5, "a"), 3, times=2) == [3, 3, 0]
    assert await taking.take(limited(5, "a"), 3) == [3, 0]
    assert await taking.take(limited(5, "a"), 3, partly=True, times=2) == [5, 2, 0]
    # Of a limit that was lowered nothing is left.
    assert await taking.take(limited(2, "a"), 3, partly=True) == [5, 0]


async def test_the_writer_hears_what_others_took_and_replaces_none_of_it(
    connection: RedisConnection, taking: RedisTaking
) -> None:
    counters = RedisCounters(connection.url, timeouts=PATIENT_REDIS)
    await taking.take(limited(9, "a", kept_s=30.0), 2)

    assert [await counters.write([Value("a", 4, 60.0)]) for _ in range(2)] == [[2], [2]]

    assert await counters.read(["a"]) == [6]
    assert 25 <= await connection.client.ttl("aside:a") <= 30
    assert await taking.take(limited(9, "a"), 4) == [6, 0]
    await counters.aclose()


async def test_without_redis_that_is_said_and_nothing_is_raised() -> None:
    counters = RedisCounters("redis://127.0.0.1:1/0")

    assert await counters.read(["a"]) is None
    assert await counters.write([Value("a", 1, 60.0)]) is None
    assert await RedisTaking("redis://127.0.0.1:1/0").take(limited(5, "a"), 1) is None
    await counters.aclose()
