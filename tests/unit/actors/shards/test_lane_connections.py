"""Connections of a lane: kept open where they are to be, not given out where they lead to the wrong server, closed."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from actors.shards.access import PoolLimits
from actors.shards.connections import Connections
from actors.shards.errors import ShardUnavailableError
from actors.shards.finding import Servers
from tests.unit.actors.shards.fake_servers import FakeConnection, FakeServers


def opened_to(servers: FakeServers, **limits: Any) -> Connections:
    return Connections(cast("Servers", servers), 3, PoolLimits(**limits), 4)


async def taken(connections: Connections) -> FakeConnection:
    return cast("FakeConnection", await connections.take())


def give(connections: Connections, *given: FakeConnection) -> None:
    for one in given:
        connections.give(cast("Any", one))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60.0):
        while not holds():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)


async def test_the_last_used_is_taken_first() -> None:
    connections = opened_to(FakeServers())
    first, second = await taken(connections), await taken(connections)
    give(connections, first, second)

    assert await taken(connections) is second
    assert await taken(connections) is first


async def test_those_that_are_to_be_kept_are_opened_again_less_and_less_often_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, pauses = asyncio.get_running_loop(), list[float]()
    call_later = loop.call_later

    def at_once(delay_s: float, *what: Any) -> Any:
        pauses.append(delay_s)
        return call_later(0.0, *what)

    monkeypatch.setattr(loop, "call_later", at_once)
    servers = FakeServers()
    connections = opened_to(servers)
    broken = await taken(connections)
    servers.away = 6

    with capture_logs() as logs:
        broken.terminate()
        await until(lambda: connections.statistics()["connections"] == 1)

    assert pauses == [1.0, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    assert [(one["event"], one.get("tries")) for one in logs] == [
        ("shard_not_reached", None),
        ("shard_reached_again", 6),
    ]
    assert connections.statistics()["idle"] == 1


async def test_after_a_failover_those_to_the_server_before_are_given_out_no_more() -> None:
    servers = FakeServers()
    connections = opened_to(servers, min_idle=0)
    held, idle = await taken(connections), await taken(connections)
    give(connections, idle)
    held_too = await taken(connections)
    assert held_too is idle
    servers.found = 1

    new = await taken(connections)
    give(connections, held, held_too, new)

    await until(lambda: held.is_closed() and held_too.is_closed())
    assert await taken(connections) is new
    assert connections.statistics() == {"connections": 1, "idle": 0, "opened": 3}


async def test_those_that_nobody_needs_are_closed_but_for_the_least() -> None:
    connections = opened_to(FakeServers(), min_idle=1, idle_s=0.0)
    all_of_them = [await taken(connections) for _ in range(3)]

    give(connections, *all_of_them)

    await until(all_of_them[1].is_closed)
    assert [one.is_closed() for one in all_of_them] == [True, True, False]


async def test_a_server_that_refuses_is_said_to_be_away_and_a_closed_pool_opens_nothing() -> None:
    servers = FakeServers()
    connections = opened_to(servers)
    servers.away = 1
    with pytest.raises(ShardUnavailableError, match="ConnectionRefusedError"):
        await connections.take()
    held, idle = await taken(connections), await taken(connections)
    give(connections, idle)

    connections.close()
    with pytest.raises(ShardUnavailableError, match="closed"):
        await connections.take()
    give(connections, held)
    await connections.closed(1.0)

    assert all(one.is_closed() for one in servers.made)


async def test_what_was_to_be_closed_is_cut_where_its_closing_was_cancelled_before_it_had_begun() -> None:
    connections = opened_to(FakeServers(), min_idle=0)
    idle = await taken(connections)
    give(connections, idle)
    before = asyncio.all_tasks()

    connections.close()
    # As an event loop does that ends.
    for task in asyncio.all_tasks() - before:
        task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert idle.is_closed()


async def test_what_was_lost_without_a_word_is_counted_and_given_out_no_more_and_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.shards.connections._REFILL_S", 0.0)
    servers = FakeServers()
    connections = opened_to(servers, min_idle=2)
    lost = [await taken(connections) for _ in range(3)]
    give(connections, *lost)

    for one in lost:
        one.is_lost_without_a_word()

    assert (connections.statistics()["connections"], connections.statistics()["idle"]) == (0, 0)
    await until(lambda: connections.statistics()["idle"] == 2)
    assert await taken(connections) not in lost
    connections.close()
    await connections.closed(1.0)
