"""Units of one role on one shard: each ends with an outcome by its deadline, and nothing of it is left behind."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import asyncpg

from actors.shards.access import PoolLimits
from actors.shards.errors import OverloadedError, ShardUnavailableError, UnitFailedError, UnitTimeoutError
from actors.shards.finding import Servers
from actors.shards.lane import Lane
from actors.shards.unit import Transaction, UnitCall
from actors.shards.waiting_unit import Outcomes, Work
from tests.unit.actors.shards.fake_servers import FakeServers

TENANT, OTHER = "a" * 32, "b" * 32
Unit = Callable[[Transaction, Any], Awaitable[Any]]


def lane_on(servers: FakeServers, connections: int = 1, **limits: Any) -> Lane:
    return Lane(cast("Servers", servers), 3, connections, PoolLimits(min_idle=0, **limits), None)


async def _echo(_transaction: Transaction, arguments: Any) -> Any:
    return arguments


def works(unit: Unit, *given: Any, tenant: str = TENANT, within_s: float | None = None) -> list[Work]:
    return [Work(place, UnitCall("unit", 3, tenant, one, timeout_s=within_s), unit) for place, one in enumerate(given)]


async def run(lane: Lane, wanted: Sequence[Work], within_s: float = 5.0) -> Outcomes:
    outcomes: Outcomes = {}
    await lane.run(wanted, asyncio.get_running_loop().time() + within_s, outcomes)
    return outcomes


def left(lane: Lane) -> tuple[int, int]:
    """Units that wait or run, and parties that the queue knows."""
    figures = lane.statistics()
    return figures["pending"], figures["parties"]


async def test_units_that_follow_each_other_share_a_connection_and_all_but_one_round_trip() -> None:
    servers = FakeServers()
    lane = lane_on(servers)

    outcomes = await run(lane, works(_echo, 1, 2, 3))

    assert [outcomes[place].value for place in range(3)] == [1, 2, 3]
    [connection] = servers.made
    assert [text.split(";")[0] for text in connection.sent] == ["BEGIN", "COMMIT", "COMMIT", "COMMIT"]
    assert left(lane) == (0, 0)
    await lane.aclose(0.0)


async def test_a_unit_that_lost_against_another_is_run_again_but_not_for_ever() -> None:
    servers, tries = FakeServers(), list[int]()
    lane = lane_on(servers, attempts=3)

    async def loses(_transaction: Transaction, times: int) -> int:
        tries.append(times)
        if tries.count(times) <= times:
            raise asyncpg.SerializationError
        return times

    outcomes = await run(lane, works(loses, 0, 2, 9))

    assert [outcomes[place].value for place in (0, 1)] == [0, 2]
    assert isinstance(outcomes[2].error, UnitFailedError)
    assert [tries.count(times) for times in (0, 2, 9)] == [1, 3, 3]
    assert left(lane) == (0, 0)
    await lane.aclose(0.0)


async def test_who_still_waits_at_the_deadline_is_told_to_come_back_and_who_runs_is_rolled_back() -> None:
    lane = lane_on(FakeServers())

    async def stays(_transaction: Transaction, _arguments: Any) -> None:
        await asyncio.Event().wait()

    outcomes = await run(lane, works(stays, 1, 2), 0.02)

    assert isinstance(outcomes[0].error, UnitTimeoutError)
    assert isinstance(outcomes[1].error, OverloadedError)
    assert left(lane) == (0, 0)
    await lane.aclose(0.0)


async def test_without_a_server_all_that_waits_ends_at_once_and_what_comes_later_is_run() -> None:
    servers = FakeServers()
    servers.away = 2
    lane = lane_on(servers, connections=2)

    away = await run(lane, works(_echo, *range(8)))
    later = await run(lane, works(_echo, "later"))

    assert {type(outcome.error) for outcome in away.values()} == {ShardUnavailableError}
    assert later[0].value == "later"
    assert left(lane) == (0, 0)
    await lane.aclose(0.0)


async def test_a_lost_connection_ends_the_unit_that_is_on_it_and_no_other() -> None:
    servers = FakeServers()
    lane = lane_on(servers, attempts=1)

    async def breaks(_transaction: Transaction, arguments: Any) -> Any:
        if arguments == "breaks":
            servers.made[-1].terminate()
        return arguments

    outcomes = await run(lane, works(breaks, "before", "breaks", "after"))

    assert (outcomes[0].value, outcomes[2].value) == ("before", "after")
    assert isinstance(outcomes[1].error, ShardUnavailableError)
    assert len(servers.made) == 2
    await lane.aclose(0.0)


async def test_what_a_caller_that_has_gone_had_waiting_is_not_run() -> None:
    lane, ran, goes_on = lane_on(FakeServers()), list[str](), asyncio.Event()

    async def waits(_transaction: Transaction, arguments: str) -> None:
        ran.append(arguments)
        await goes_on.wait()

    caller = asyncio.create_task(run(lane, works(waits, "runs", "waits", "waits")))
    async with asyncio.timeout(60.0):
        while not ran:  # noqa: ASYNC110 - it tells nobody else
            await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    goes_on.set()
    await run(lane, works(waits, "another's", tenant=OTHER))

    assert ran == ["runs", "another's"]
    assert left(lane) == (0, 0)
    await lane.aclose(0.0)


async def test_a_unit_in_a_call_with_others_that_do_not_end_gets_a_connection_that_is_free() -> None:
    servers, has_run = FakeServers(), asyncio.Event()
    lane = lane_on(servers, connections=4)

    async def stays(_transaction: Transaction, _arguments: Any) -> None:
        await has_run.wait()

    async def runs(_transaction: Transaction, _arguments: Any) -> None:
        has_run.set()

    units = [stays, stays, runs]
    call = [works(unit, None, tenant=str(at) * 32)[0]._replace(position=at) for at, unit in enumerate(units)]
    outcomes = await run(lane, call, 60.0)

    assert [outcomes[at].error for at in range(3)] == [None] * 3
    assert len(servers.made) == 3
    assert left(lane) == (0, 0)
    await lane.aclose(0.0)


async def test_no_more_than_may_wait_is_taken_and_the_rest_is_told_when_to_come() -> None:
    lane = lane_on(FakeServers(), waiting=4)

    outcomes = await run(lane, works(_echo, *range(4)))

    assert [outcome.error is None for outcome in outcomes.values()].count(True) == 2
    refused = [outcome.error for outcome in outcomes.values() if outcome.error is not None]
    assert all(isinstance(error, OverloadedError) and error.retry_after_s > 0 for error in refused)
    assert left(lane) == (0, 0)
    await lane.aclose(0.0)


async def test_a_unit_behind_one_that_waits_longer_than_it_does_is_not_joined_to_its_commit() -> None:
    servers = FakeServers()
    lane = lane_on(servers)

    outcomes: Outcomes = {}
    patient, hasty = works(_echo, "patient")[0], works(_echo, "hasty", within_s=1.0)[0]._replace(position=1)
    await lane.run([patient, hasty], asyncio.get_running_loop().time() + 60.0, outcomes)

    assert [outcomes[place].value for place in range(2)] == ["patient", "hasty"]
    [connection] = servers.made
    assert [text.split(";")[0] for text in connection.sent] == ["BEGIN", "COMMIT", "BEGIN", "COMMIT"]
    await lane.aclose(0.0)
