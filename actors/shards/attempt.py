"""One try at one unit on one connection: begin with its tenant, run it, commit. Nothing more goes over the wire."""

import asyncio
from typing import NamedTuple

import asyncpg

from actors.shards.errors import CommitUnknownError, ShardUnavailableError, UnitFailedError, UnitTimeoutError
from actors.shards.session import ShardConnection
from actors.shards.transaction import Publisher, ShardTransaction, begin_statement
from actors.shards.translation import FOREIGN, commit_is_refused, may_retry, translate
from actors.shards.unit import UnitCall, UnitFunction, UnitOutcome
from kernel.errors import SpazaError
from telemetry.log import get_logger

# A commit that has been sent is given so much beyond the deadline, for to cut it off is not to know how it ended.
_COMMIT_GRACE_S = 0.5
_log = get_logger("shards")


class Attempt(NamedTuple):
    """How a try ended.

    Attributes:
        again: whether another try is worth it: the unit lost against another, or its connection broke before the
            commit.
    """

    outcome: UnitOutcome
    again: bool = False


async def attempt(
    connection: ShardConnection,
    call: UnitCall,
    function: UnitFunction,
    publisher: Publisher | None,
    *,
    deadline: float,
    rollback_s: float,
) -> Attempt:
    """Run a unit in a transaction. Afterwards the connection is out of it, or closed.

    Args:
        connection: borrowed for this.
        call: what to run.
        function: what is registered under its name.
        publisher: for units that publish.
        deadline: by the event loop's clock.
        rollback_s: patience for a roll-back.
    """
    try:
        begin = begin_statement(call.tenant_id, call.locks)
        transaction = ShardTransaction(connection, call.shard, call.tenant_id, publisher)
        async with asyncio.timeout_at(deadline):
            await connection.execute(begin)
            value = await function(transaction, call.arguments)
    except Exception as error:  # noqa: BLE001 - a unit may raise anything; it becomes its outcome
        await connection.roll_back(rollback_s)
        again = may_retry(error) or (connection.is_closed() and isinstance(error, FOREIGN))
        return Attempt(_failed(_in_our_words(error, call)), again)
    except BaseException:
        await connection.roll_back(rollback_s)
        raise
    if connection.is_closed():
        return Attempt(_failed(ShardUnavailableError(call.shard, "the connection broke")), again=True)
    if not connection.is_in_transaction():
        return Attempt(_failed(UnitFailedError(call.name, "", "it ended its own transaction")))
    refusal = await _commit(connection, call, deadline, rollback_s)
    return Attempt(UnitOutcome(value, tuple(transaction.published), None)) if refusal is None else refusal


def _in_our_words(error: Exception, call: UnitCall) -> SpazaError:
    match error:
        case SpazaError():
            return error
        case TimeoutError():  # an OSError too, so before the foreign ones
            return UnitTimeoutError(call.name, call.shard)
        case asyncpg.PostgresError() | asyncpg.InterfaceError() | asyncpg.InternalClientError() | OSError():
            return translate(error, call.name, call.shard)
        case _:
            _log.error("unit_raised", unit=call.name, shard=call.shard, exc_info=error)
            return UnitFailedError(call.name, "", type(error).__name__)


async def _commit(connection: ShardConnection, call: UnitCall, deadline: float, rollback_s: float) -> Attempt | None:
    try:
        async with asyncio.timeout_at(max(deadline, asyncio.get_running_loop().time() + _COMMIT_GRACE_S)):
            status = await connection.execute("COMMIT")
    except TimeoutError:
        await connection.roll_back(rollback_s)
        return Attempt(_failed(CommitUnknownError(call.shard, "the commit was not answered in time")))
    except FOREIGN as error:
        await connection.roll_back(rollback_s)
        if commit_is_refused(error):
            return Attempt(_failed(translate(error, call.name, call.shard)), again=may_retry(error))
        return Attempt(_failed(CommitUnknownError(call.shard, type(error).__name__)))
    except BaseException:
        connection.terminate()
        raise
    if status != "COMMIT":
        # A statement had failed and the unit went on as if it had not; PostgreSQL rolls such a transaction back.
        return Attempt(_failed(UnitFailedError(call.name, "25P02", "it went on after a statement had failed")))
    return None


def _failed(error: SpazaError) -> UnitOutcome:
    return UnitOutcome(None, (), error)
