"""Shard pools as Ray actors: reached by name, and back after a kill."""

import asyncio
import base64
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
import ray

from actors.shards.access import ShardAccess
from actors.shards.errors import (
    CommitUnknownError,
    NoSuchShardError,
    ShardsMissingError,
    ShardUnavailableError,
    UnitTimeoutError,
    UnknownUnitError,
)
from actors.shards.fan_out import FanOut
from actors.shards.handle import NAMESPACE, ShardsHandle, actor_name, start_shards
from actors.shards.placement import SHARDS, groups
from actors.shards.setup import set_up_shards
from actors.shards.unit import UnitCall
from cluster.postgres import PostgresServer

KEY = base64.b64encode(b"k" * 32).decode()


@pytest.fixture(scope="module")
def shards_per_actor(ray_cluster: None, postgres_server: PostgresServer) -> Iterator[int]:
    asyncio.run(set_up_shards(postgres_server.dsn, KEY))
    _start(postgres_server)
    yield 16
    for group in groups(16):
        ray.kill(ray.get_actor(actor_name(group), namespace=NAMESPACE))


def _start(server: PostgresServer, *, shards_per_actor: int = 16, release: str = "first") -> None:
    access = ShardAccess.derive(server.dsn, KEY)
    units = "tests.cluster.shard_units:UNITS"
    start_shards(access, units=units, topology=None, shards_per_actor=shards_per_actor, release=release, timeout_s=300)


async def _value(handle: ShardsHandle, call: UnitCall) -> Any:
    return (await handle.run([call], timeout_s=60.0))[0].unwrap()


async def _pid(handle: ShardsHandle, shard: int) -> int:
    pid: int = await _value(handle, UnitCall("test.process_id", shard, "", None))
    return pid


async def _back(handle: ShardsHandle, shard: int, *, patience_s: float = 180.0) -> int:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return await _pid(handle, shard)
        except (ShardUnavailableError, CommitUnknownError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


async def _under_way(handle: ShardsHandle, units: int) -> None:
    async with asyncio.timeout(60):
        while sum(one["spaza_system"]["pending"] for one in (await handle.statistics()).values()) < units:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_units_of_all_shards_come_back_in_order_from_their_actors(shards_per_actor: int) -> None:
    handle = ShardsHandle(shards_per_actor)
    calls = [UnitCall("test.process_id", shard, "", None) for shard in reversed(range(SHARDS))]

    outcomes = await handle.run(calls, timeout_s=60.0)

    pids = [outcome.unwrap() for outcome in outcomes]
    assert set(pids[:16]) == {pids[0]}
    assert set(pids[16:]) == {pids[16]}
    assert pids[0] != pids[16]


async def test_a_units_error_reaches_the_caller_as_what_it_is(shards_per_actor: int) -> None:
    handle = ShardsHandle(shards_per_actor)

    # The connection is open by then.
    assert await _value(handle, UnitCall("test.count", 20, "", "late")) == 0

    unknown, late = await handle.run(
        [UnitCall("nothing", 0, "", None), UnitCall("test.add_slowly", 20, "", ("late", 60.0))], timeout_s=2.0
    )

    assert isinstance(unknown.error, UnknownUnitError)
    assert isinstance(late.error, UnitTimeoutError)
    assert await _value(handle, UnitCall("test.count", 20, "", "late")) == 0


async def test_shards_that_do_not_exist_fail_their_own_units_alone(shards_per_actor: int) -> None:
    handle = ShardsHandle(shards_per_actor)
    calls = [UnitCall("test.process_id", shard, "", None) for shard in (SHARDS, 3, -1)]

    above, there, below = await handle.run(calls, timeout_s=60.0)

    assert there.unwrap() > 0
    for outcome, shard in ((above, SHARDS), (below, -1)):
        assert isinstance(outcome.error, NoSuchShardError)
        assert outcome.error.shard == shard


async def test_a_unit_that_takes_too_long_has_nobody_else_of_its_shard_refused(shards_per_actor: int) -> None:
    handle = ShardsHandle(shards_per_actor)
    well = UnitCall("test.count", 3, "", "slow")
    await _value(handle, well)

    [late] = await handle.run([UnitCall("test.add_slowly", 3, "", ("slow", 60.0))], timeout_s=2.0)
    others = [await handle.run([well], timeout_s=60.0) for _ in range(50)]

    assert isinstance(late.error, UnitTimeoutError)
    assert [outcome.error for [outcome] in others if outcome.error is not None] == []


async def test_a_shard_that_hangs_costs_no_patience_once_a_probe_got_no_answer_and_is_used_again_when_one_got_through(
    shards_per_actor: int,
) -> None:
    handle = ShardsHandle(shards_per_actor)
    calls = [UnitCall("test.count", shard, "", "hang") for shard in (3, 31)]
    pid = await _pid(handle, 3)
    await handle.run(calls, timeout_s=60.0)

    os.kill(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(60.0):
            while True:
                hanging, _ = await handle.run(calls, timeout_s=1.0)
                assert hanging.error is not None
                if isinstance(hanging.error, ShardUnavailableError):
                    break
        # The other one answers; if it was slow, once it has been probed.
        assert await _back(handle, 31) != pid
    finally:
        os.kill(pid, signal.SIGCONT)

    assert "a moment ago" in str(hanging.error)
    assert await _back(handle, 3) == pid


async def test_the_outcomes_of_an_actor_are_told_before_another_has_answered(shards_per_actor: int) -> None:
    handle = ShardsHandle(shards_per_actor)
    told: list[tuple[float, list[Any]]] = []
    calls = [UnitCall("test.add_slowly", 0, "", ("told", 3.0)), UnitCall("test.count", 31, "", "told")]
    await handle.run(calls[1:], timeout_s=60.0)

    outcomes = await handle.run(
        calls, timeout_s=60.0, answered=lambda answer: told.append((time.monotonic(), [one.value for one in answer]))
    )

    assert [outcome.error for outcome in outcomes] == [None, None]
    # The quick one's first, and not when the slow one's was there as well.
    assert [values for _, values in told] == [[0], [None]]
    assert told[1][0] - told[0][0] > 0.1


async def test_an_actor_that_is_not_there_is_a_shard_unavailable(ray_cluster: None) -> None:
    (outcome,) = await ShardsHandle(1).run([UnitCall("test.process_id", 31, "", None)], timeout_s=2.0)

    assert isinstance(outcome.error, ShardUnavailableError)
    assert not isinstance(outcome.error, CommitUnknownError)


async def test_a_killed_actor_comes_back_and_units_go_on(shards_per_actor: int) -> None:
    handle = ShardsHandle(shards_per_actor)
    before = await _pid(handle, 3)

    os.kill(before, signal.SIGKILL)

    assert await _back(handle, 3) != before


async def test_units_that_a_kill_catches_are_in_doubt_and_are_there_once_after_a_repeat(shards_per_actor: int) -> None:
    handle = ShardsHandle(shards_per_actor)
    calls = [UnitCall("test.add_slowly", number % 16, "", (f"kill-{number}", 60.0)) for number in range(32)]
    pid = await _pid(handle, 0)
    caught = asyncio.create_task(handle.run(calls, timeout_s=60.0))
    await _under_way(handle, 32)

    os.kill(pid, signal.SIGKILL)
    outcomes = await caught

    assert all(isinstance(outcome.error, CommitUnknownError) for outcome in outcomes)
    await asyncio.gather(*(_back(handle, shard) for shard in range(16)))
    again = [call._replace(arguments=(call.arguments[0], 0.0)) for call in calls]
    assert all(outcome.error is None for outcome in await handle.run(again, timeout_s=60.0))
    counted = await handle.run([UnitCall("test.count", shard, "", "kill-") for shard in range(16)], timeout_s=60.0)
    assert sum(outcome.unwrap() for outcome in counted) == 32


async def test_the_other_actor_goes_on_while_one_is_down(shards_per_actor: int) -> None:
    handle = ShardsHandle(shards_per_actor)
    killed = await _pid(handle, 0)
    os.kill(killed, signal.SIGKILL)

    down, up = await handle.run(
        [UnitCall("test.process_id", 0, "", None), UnitCall("test.process_id", 31, "", None)], timeout_s=60.0
    )

    # It is down, or another has taken its place already.
    assert isinstance(down.error, ShardUnavailableError | CommitUnknownError) or down.unwrap() != killed
    assert up.error is None
    await _back(handle, 0)


async def test_a_question_to_all_shards_names_those_of_an_actor_that_does_not_answer(shards_per_actor: int) -> None:
    handle = ShardsHandle(shards_per_actor)
    fan_out = FanOut(handle)
    every = await fan_out.each("test.process_id", None, timeout_s=60.0)
    # A killed one may be back before it is missed.
    os.kill(every.values[0], signal.SIGSTOP)
    try:
        some = await fan_out.each("test.process_id", None, timeout_s=5.0, partial=True)
        with pytest.raises(ShardsMissingError, match="no answer from shards 00, 01"):
            await fan_out.each("test.process_id", None, timeout_s=5.0)
    finally:
        os.kill(every.values[0], signal.SIGKILL)

    assert every.missing == {}
    assert sorted(some.missing) == list(range(16))
    assert sorted(some.values) == list(range(16, 32))
    await asyncio.gather(*(_back(handle, shard) for shard in range(16)))


async def test_statistics_tell_of_every_shard(shards_per_actor: int) -> None:
    handle = ShardsHandle(shards_per_actor)
    await _value(handle, UnitCall("test.count", 7, "", "x"))

    async with asyncio.timeout(120):
        # An actor that takes long over it is left out.
        while len(figures := await handle.statistics()) < SHARDS:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.1)

    assert sorted(figures) == list(range(SHARDS))
    assert figures[7]["spaza_system"]["committed"] >= 1


async def test_a_redeploy_keeps_alike_actors_and_replaces_those_of_other_code_once_their_units_have_ended(
    shards_per_actor: int, postgres_server: PostgresServer
) -> None:
    handle = ShardsHandle(shards_per_actor)
    before = await _pid(handle, 0)

    await asyncio.to_thread(_start, postgres_server)
    alike = await _pid(handle, 0)
    slow = asyncio.create_task(handle.run([UnitCall("test.add_slowly", 0, "", ("redeploy", 2.0))], timeout_s=60.0))
    await _under_way(handle, 1)
    await asyncio.to_thread(_start, postgres_server, release="second")

    assert alike == before
    [outcome] = await slow
    assert outcome.error is None
    assert await _back(ShardsHandle(shards_per_actor), 0) != before


async def test_a_redeploy_with_fewer_actors_leaves_none_of_the_others(
    shards_per_actor: int, postgres_server: PostgresServer
) -> None:
    await asyncio.to_thread(_start, postgres_server, shards_per_actor=32)
    names = {one["name"] for one in ray.util.list_named_actors(all_namespaces=True) if one["namespace"] == NAMESPACE}
    await asyncio.to_thread(_start, postgres_server)

    assert actor_name(0) in names
    assert actor_name(1) not in names
    assert await _back(ShardsHandle(shards_per_actor), 31) > 0
