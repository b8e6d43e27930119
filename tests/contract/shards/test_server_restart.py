"""The server dies under the pools and comes back: units fail as unavailable meanwhile, and go on afterwards."""

import asyncio
import os
import signal

import asyncpg
import pytest

from actors.shards.access import ShardAccess
from actors.shards.dsn import maintenance_dsn
from actors.shards.errors import CommitUnknownError, ShardUnavailableError
from actors.shards.pool import ShardPools
from actors.shards.session import ShardConnection
from actors.shards.setup import set_up_shards
from actors.shards.tenant_schema import TenantSchemas
from actors.shards.unit import UnitCall, UnitOutcome
from kernel.identifiers import new_id
from tests.contract.shards.calls import PATIENCE_S, UNITS, run, until, value
from tests.contract.shards.conftest import KEY, SHARD
from tests.servers import postgres


async def test_a_killed_server_loses_nothing_that_was_committed_and_units_go_on_by_themselves(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with postgres(tmp_path_factory.mktemp("kill")) as server:
        await set_up_shards(server.dsn, KEY)
        tenant = new_id()
        await TenantSchemas(server.dsn).create(tenant, SHARD)
        pools = ShardPools(ShardAccess.derive(server.dsn, KEY), range(32), UNITS)
        stop, outcomes = asyncio.Event(), dict[str, UnitOutcome]()

        async def write(lane: int) -> None:
            number = 0
            while not stop.is_set():
                calls = [UnitCall("add", SHARD, tenant, f"{lane}-{number}-{part}") for part in range(3)]
                for call, outcome in zip(calls, await pools.run(calls, PATIENCE_S), strict=True):
                    outcomes[call.arguments] = outcome
                number += 1
                await asyncio.sleep(0.01)

        writers = [asyncio.create_task(write(lane)) for lane in range(3)]
        await until(lambda: len(outcomes) > 100)
        assert server.process is not None
        server.process.kill()
        await asyncio.to_thread(server.process.wait)
        await until(lambda: any(outcome.error is not None for outcome in outcomes.values()))
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(PATIENCE_S):
            while (await run(pools, "skus", tenant)).error is not None:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.05)
        stop.set()
        await asyncio.gather(*writers)

        there = set(await value(pools, "skus", tenant))
        await pools.aclose()
        committed = {sku for sku, outcome in outcomes.items() if outcome.error is None}
        failed = [outcome.error for outcome in outcomes.values() if outcome.error is not None]
        assert committed <= there
        assert failed
        assert all(isinstance(error, ShardUnavailableError | CommitUnknownError) for error in failed)
        surely_not = {sku for sku, o in outcomes.items() if isinstance(o.error, ShardUnavailableError)}
        assert not surely_not & there


async def test_a_connection_that_is_lost_while_its_cancelled_statement_is_waited_for_is_given_up_quietly(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with postgres(tmp_path_factory.mktemp("hang")) as server:
        connection = await asyncpg.connect(maintenance_dsn(server.dsn), connection_class=ShardConnection)
        backend = await connection.fetchval("SELECT pg_backend_pid()")
        await connection.execute("BEGIN")
        assert server.process is not None
        stopped = backend, server.process.pid
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.execute("SELECT 1"), 0.1)

        rolling_back = asyncio.create_task(connection.roll_back(30.0))
        await asyncio.sleep(0.2)
        assert not rolling_back.done()
        # As where asking the server to cancel has failed.
        connection.terminate()
        await rolling_back

        assert connection.is_closed()
        for process in stopped:
            os.kill(process, signal.SIGCONT)
