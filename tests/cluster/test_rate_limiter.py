"""Rate limiters as Ray actors before a real Redis: exact, from anywhere, and after a kill.

Kong: spec/03-plugins/23-rate-limiting/04-access_spec.lua and 05-integration_spec.lua.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, Final

import pytest
import ray

from actors.doors.doors import Door
from actors.rate_limiter.decision import Limits
from actors.rate_limiter.errors import LimiterUnavailableError
from actors.rate_limiter.handle import NAMESPACE, RateLimiterHandle, actor_name
from actors.rate_limiter.ledger import Check
from actors.rate_limiter.placement import owner_of
from actors.rate_limiter.start import start_rate_limiters
from cache.connection import RedisConnection, RedisTimeouts
from cache.counters import RedisCounters, RedisTaking
from cluster.redis_server import RedisServer
from config.plugins import RateLimitingOptions
from gateway.asgi import ASGIApp, Receive, Scope, Send
from gateway.chain import Parts, chained
from gateway.context import Identity, context_of
from gateway.counted_aside import CountedAside
from gateway.plugins.rate_limiting import RateLimiting
from gateway.policy import Policy
from kernel.identifiers import new_id
from tests.cluster.limit_callers import Caller, admitted
from tests.gateway import Watch
from tests.servers import redis
from tests.unit.gateway.bench import App, answered, route

LIMITERS: Final = 2
# Of the hour, whose end is seldom waited for.
LIMITS: Final = Limits(100_000, 100)


def _start(server: RedisServer, *, limiters: int = LIMITERS, release: str = "first") -> None:
    store = partial(RedisCounters, server.url)
    start_rate_limiters(limiters, store, settings=server.url, release=release, timeout_s=300.0)


@pytest.fixture(scope="module")
def server(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis(tmp_path_factory.mktemp("rl")) as started:
        _start(started)
        yield started
        for number in range(LIMITERS):
            ray.kill(ray.get_actor(actor_name(number), namespace=NAMESPACE))


@pytest.fixture
def handle(server: RedisServer) -> RateLimiterHandle:
    return RateLimiterHandle(LIMITERS)


async def _within_an_hour(seconds: float = 120.0) -> None:
    """Wait for an hour that has so many seconds left, so that a test sees one window."""
    await _within(3600, seconds)


async def _within(window_s: int, seconds: float) -> None:
    left = window_s - time.time() % window_s
    if left < seconds:
        await asyncio.sleep(left + 0.01)


def _products(limits: Limits = LIMITS, *, cost: int = 1, tenant: str = "") -> Check:
    return Check(tenant or new_id(), "products", limits, cost)


async def _owner(number: int) -> dict[str, Any]:
    handle = RateLimiterHandle(LIMITERS)
    async with asyncio.timeout(120.0):
        while number not in (figures := await handle.statistics()):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.1)
    return dict(figures[number])


def _gateway(tenant: str, app: App, taking: RedisTaking) -> ASGIApp:
    """What a replica has in front of its application, for one tenant."""
    policy = Policy("things", "rate-limiting", Watch(), enforced=True)
    aside = CountedAside(taking)
    limiting = RateLimiting(app, RateLimitingOptions(), policy, RateLimiterHandle(LIMITERS), LIMITS, aside=aside)

    async def identified(scope: Scope, receive: Receive, send: Send) -> None:
        context_of(scope).identity = Identity(tenant, "kid", 0, 1)
        await limiting(scope, receive, send)

    return chained(identified, route(), Parts(Watch()))


@pytest.fixture
async def connection(server: RedisServer) -> AsyncIterator[RedisConnection]:
    connection = _patient(server)
    yield connection
    await connection.aclose()


def _patient(server: RedisServer) -> RedisConnection:
    """For who looks, and is to see it also on a busy machine."""
    return RedisConnection(server.url, timeouts=RedisTimeouts(connect_s=60.0, command_s=60.0))


@pytest.fixture
async def taking(server: RedisServer) -> AsyncIterator[RedisTaking]:
    taking = RedisTaking(server.url)
    yield taking
    await taking.aclose()


def _owner_number(check: Check) -> int:
    return owner_of(check.tenant, LIMITERS)


async def _count(check: Check, connection: RedisConnection) -> int:
    """What of this hour is written."""
    name = f"rate_limit:{check.tenant}:{check.route}:hour:{int(time.time()) // 3600}"
    return int(await connection.client.get(name) or 0)


async def _written(check: Check, connection: RedisConnection, value: int) -> None:
    async with asyncio.timeout(120.0):
        while await _count(check, connection) != value:  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.01)


async def test_of_a_thousand_calls_at_once_exactly_a_hundred_pass_and_few_calls_reach_the_owner(
    handle: RateLimiterHandle,
) -> None:
    check = _products()
    before = await _owner(_owner_number(check))
    await _within_an_hour()

    assert await admitted(handle, check, 1_000) == 100

    after = await _owner(_owner_number(check))
    assert after["calls"] - before["calls"] <= 20
    # And who calls on is refused without a hop; all of its minute is left if that has begun meanwhile.
    decision = await handle.check(check)
    assert (decision.is_allowed, decision.hour.remaining) == (False, 0)
    assert 99_900 <= decision.minute.remaining <= 100_000
    assert (await _owner(_owner_number(check)))["checks"] == after["checks"]


async def test_three_processes_share_one_limit_exactly(server: RedisServer) -> None:
    caller: Any = ray.remote(num_cpus=0)(Caller)
    callers = [caller.remote(LIMITERS) for _ in range(3)]
    warm = _products()
    await asyncio.gather(*(one.admitted.remote(warm, 1) for one in callers))
    check = _products()
    await _within_an_hour()

    passed = await asyncio.gather(*(one.admitted.remote(check, 334) for one in callers))

    assert sum(passed) == 100
    for one in callers:
        ray.kill(one)


async def test_of_a_thousand_requests_through_the_gateways_of_three_replicas_exactly_a_hundred_get_through(
    taking: RedisTaking,
) -> None:
    tenant, app = new_id(), App({})
    replicas = [_gateway(tenant, app, taking) for _ in range(3)]
    await _within_an_hour()

    answers = await asyncio.gather(*(answered(replicas[at % 3]) for at in range(1_000)))

    refused = [one for one in answers if one.status == 429]
    assert (len(app.scopes), len(refused)) == (100, 900)
    assert {one.headers["x-ratelimit-remaining-hour"] for one in refused} == {"0"}
    assert all(0 < int(one.headers["retry-after"]) <= 3600 for one in refused)


async def test_callers_on_the_owners_machine_go_by_its_door_and_lose_no_count_when_it_is_killed(
    handle: RateLimiterHandle,
) -> None:
    await _within_an_hour()
    # However often it is asked until there is a door.
    check, asked = _products(Limits(100_000, 100_000)), 0
    doors: list[Door] = []

    async def until_another_door() -> None:
        nonlocal asked
        async with asyncio.timeout(120.0):
            while True:
                decision = await handle.check(check, timeout_s=120.0)
                asked += 1
                assert decision.hour.used >= asked
                door = handle._doors.of(actor_name(_owner_number(check)))
                if door is not None and door not in doors:
                    doors.append(door)
                    return
                await asyncio.sleep(0.05)

    await until_another_door()
    before = (await handle.check(check)).hour.used
    async with asyncio.timeout(120.0):
        while (await _owner(_owner_number(check)))["unwritten"]:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)
    os.kill((await _owner(_owner_number(check)))["pid"], signal.SIGKILL)
    asked = before
    await until_another_door()

    assert [door.is_open for door in doors] == [False, True]


async def test_a_changed_limit_counts_at_once(handle: RateLimiterHandle) -> None:
    check = _products(Limits(50, 5))
    await _within_an_hour()
    assert await admitted(handle, check, 9) == 5

    assert await admitted(handle, check._replace(limits=Limits(50, 8)), 9) == 3
    assert await admitted(handle, check._replace(limits=Limits(50, 4)), 9) == 0


async def test_a_killed_owner_admits_no_more_than_it_had_not_written(
    handle: RateLimiterHandle, server: RedisServer
) -> None:
    connection, check = _patient(server), _products(Limits(100_000, 100_000))
    await _within_an_hour()
    await admitted(handle, check, 60)
    await _written(check, connection, 60)
    pid = (await _owner(_owner_number(check)))["pid"]

    os.kill(pid, signal.SIGKILL)
    check = check._replace(limits=LIMITS)

    # Callers wait for the next owner, which knows of the sixty.
    assert await admitted(handle, check, 500) == 40
    assert (await _owner(_owner_number(check)))["pid"] != pid
    await connection.aclose()


async def test_killed_in_the_middle_of_a_thousand_calls_it_admits_few_more(
    handle: RateLimiterHandle, server: RedisServer
) -> None:
    connection, check = _patient(server), _products()
    await _within_an_hour()
    pid = (await _owner(_owner_number(check)))["pid"]

    async def call(at: int) -> int:
        await asyncio.sleep(at / 1_000)
        return (await handle.check(check, timeout_s=120.0)).admitted

    calls = [asyncio.create_task(call(at)) for at in range(1_000)]
    # When some have been answered and many have not.
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    # It does nothing more, and nobody writes in its place before it is known what it has written.
    os.kill(pid, signal.SIGSTOP)
    written = await _count(check, connection)
    os.kill(pid, signal.SIGKILL)
    passed = sum(await asyncio.gather(*calls))

    # The dead one admitted a hundred at most, the next one what is left beside what was written.
    assert 0 < passed <= 100 + (100 - written)
    # From then on it is exact again.
    assert await admitted(handle, check, 200) == 0
    await connection.aclose()


async def test_without_redis_it_goes_on_in_memory_and_adds_what_stood_there_later(
    handle: RateLimiterHandle, server: RedisServer
) -> None:
    await _within_an_hour()
    connection, check = _patient(server), _products()
    name = f"rate_limit:{check.tenant}:{check.route}:hour:{int(time.time()) // 3600}"
    await connection.client.set(name, 70)
    process = server.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        assert await admitted(handle, check, 20) == 20
        unwritten = (await _owner(_owner_number(check)))["unwritten"]
    finally:
        process.send_signal(signal.SIGCONT)
    async with asyncio.timeout(120.0):
        while (found := await connection.client.get(name)) != b"90":  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    assert unwritten >= 1
    assert found == b"90"
    assert await admitted(handle, check, 20) == 10
    assert (await _owner(_owner_number(check)))["redis"]["read_late"] >= 1
    await connection.aclose()


async def test_an_owner_that_hangs_costs_a_callers_patience_once(handle: RateLimiterHandle) -> None:
    check = _products()
    await handle.check(check, timeout_s=120.0)
    pid = (await _owner(_owner_number(check)))["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(LimiterUnavailableError):
            await handle.check(check)
        started = time.monotonic()
        with pytest.raises(LimiterUnavailableError):
            await handle.check(check, timeout_s=60.0)
        assert time.monotonic() - started < 30.0
    finally:
        os.kill(pid, signal.SIGCONT)
    async with asyncio.timeout(120.0):
        while True:
            try:
                assert (await handle.check(check)).is_allowed
                break
            except LimiterUnavailableError:
                await asyncio.sleep(0.1)


@pytest.mark.parametrize("known", [30, 0])
@pytest.mark.parametrize("what", [signal.SIGSTOP, signal.SIGKILL])
async def test_a_limiter_that_hangs_or_dies_opens_no_door_at_the_gateways_of_three_replicas(
    handle: RateLimiterHandle, connection: RedisConnection, taking: RedisTaking, what: signal.Signals, known: int
) -> None:
    # A successor that begins to answer when the callers' patience ends has written nothing yet that the others could
    # know of, so that one time need not tell; a door that is open is open each time.
    for _ in range(3):
        tenant, app = new_id(), App({})
        gateways, check = [_gateway(tenant, app, taking) for _ in range(3)], _products(tenant=tenant)
        check = check._replace(route=route().name)
        await _within_an_hour()
        # It answers, however long the last one has been gone.
        await handle.check(check._replace(route="warm"), timeout_s=120.0)
        assert [(await answered(gateways[0])).status for _ in range(known)] == [200] * known
        await _written(check, connection, known)
        pid = (await _owner(_owner_number(check)))["pid"]

        os.kill(pid, what)
        try:
            answers = await asyncio.gather(*(answered(gateways[at % 3]) for at in range(600)))
        finally:
            if what is signal.SIGSTOP:
                os.kill(pid, signal.SIGCONT)
        passed = [one.status for one in answers].count(200)
        if passed == 100 - known:
            break

    assert passed == 100 - known
    assert {one.status for one in answers} == {200, 429}
    # And who decides afterwards knows.
    assert (await _owner(_owner_number(check)))["pid"] == pid or what is signal.SIGKILL
    decision = await handle.check(check, timeout_s=60.0)
    assert (decision.is_allowed, decision.hour.used) == (False, 100)
    assert [(await answered(gateways[1])).status for _ in range(5)] == [429] * 5


def test_a_redeployed_owner_knows_what_the_one_before_has_counted(server: RedisServer) -> None:
    check = _products()

    async def take(calls: int, limiters: int) -> int:
        return await admitted(RateLimiterHandle(limiters), check, calls)

    asyncio.run(_within_an_hour())
    assert asyncio.run(take(60, LIMITERS)) == 60
    _start(server, release="second")
    assert asyncio.run(take(10, LIMITERS)) == 10
    # Another number of owners as well.
    _start(server, limiters=1, release="second")
    assert asyncio.run(take(60, 1)) == 30
    _start(server, release="third")
