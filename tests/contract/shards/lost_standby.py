"""A server whose commits wait for a standby that is not there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from tests.contract.shards.calls import PATIENCE_S
from tests.contract.shards.conftest import Shards

COMMIT = "SELECT pg_logical_emit_message(true, 'spaza', '')"
_WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND pid = $1"


@asynccontextmanager
async def a_standby_that_is_not_there(shards: Shards) -> AsyncIterator[Any]:
    """Commits wait for it. Gives an operator's session, which waits for none."""
    operator = await shards.as_owner()
    await operator.execute("SET synchronous_commit = local")
    await operator.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    await operator.execute("SELECT pg_reload_conf()")
    try:
        await _in_force(shards, operator)
        yield operator
    finally:
        await operator.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await operator.execute("SELECT pg_reload_conf()")
        await operator.close()


async def _in_force(shards: Shards, operator: Any) -> None:
    """It is when somebody waits, for the server's processes hear of it one after the other."""
    canary = await shards.as_owner()

    async def commit_again_and_again() -> None:
        while True:
            await canary.execute(COMMIT)

    committing = asyncio.create_task(commit_again_and_again())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await operator.fetchval(_WAITS, canary.get_server_pid()):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.02)
    finally:
        canary.terminate()
        [ended] = await asyncio.gather(committing, return_exceptions=True)
        assert isinstance(ended, asyncpg.InterfaceError | asyncpg.PostgresError | OSError), ended
