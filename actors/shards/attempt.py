"""One try at one unit on one connection: begin with its tenant, run it, commit. Nothing more goes over the wire.

Where another unit follows on the same connection, the commit of the one and the begin of the other are one text and one
round trip. PostgreSQL carries such a text out statement by statement, so a failure in it says of each of the two how it
ended, or that nobody knows; ``_of_joint_text`` tells which.
"""

import asyncio
from typing import Any, NamedTuple

import asyncpg

from actors.shards.errors import (
    CommitUnknownError,
    ShardUnavailableError,
    TenantMovedError,
    UnitFailedError,
    UnitTimeoutError,
)
from actors.shards.session import ShardConnection
from actors.shards.transaction import Publisher, ShardTransaction, begin_statement
from actors.shards.translation import (
    FOREIGN,
    commit_is_refused,
    is_denied,
    is_of_begin,
    is_session_over,
    may_be_of_a_schema,
    may_retry,
    takes_no_writes,
    translate,
)
from actors.shards.unit import UnitCall, UnitFunction, UnitOutcome
from kernel.errors import SpazaError
from telemetry.log import get_logger

# A commit that has been sent is given so much beyond the deadline, for to cut it off is not to know how it ended.
_COMMIT_GRACE_S = 0.5
# Whose schema is here and open. It is asked after a failure alone, so that nobody pays for it who is not late.
_IS_HERE = "SELECT coalesce(has_schema_privilege(to_regnamespace($1), 'USAGE'), false)"
_log = get_logger("shards")


class Ending(NamedTuple):
    """How a try ended.

    Attributes:
        again: whether another try is worth it: the unit lost against another, or its connection broke before the
            commit.
        begun: whether the unit was begun at all. If not, its try does not count.
        elsewhere: whether the server is not the one that takes writes, so that other connections to it are no better.
    """

    outcome: UnitOutcome
    again: bool = False
    begun: bool = True
    elsewhere: bool = False


class Attempt:
    """A unit in a transaction of its own: ``begin``, then ``work``, then ``commit``, or ``commit_and_begin``.

    Each returns how the try ended, None if it has not: then the next is to be called. After an end the connection is
    out of the unit's transaction, or closed.
    """

    __slots__ = (
        "_begin", "_call", "_connection", "_deadline", "_function", "_may_follow", "_only_reads", "_rollback_s",
        "_transaction", "_value",
    )  # fmt: skip

    def __init__(  # noqa: PLR0917 - made for each unit, where names cost
        self,
        connection: ShardConnection,
        call: UnitCall,
        function: UnitFunction,
        publisher: Publisher | None,
        deadline: float,
        rollback_s: float,
        position_needed: str | None = None,
    ) -> None:
        """Touch nothing yet.

        Args:
            connection: taken for this, out of any transaction when the unit begins.
            call: what to run.
            function: what is registered under its name.
            publisher: for units that publish.
            deadline: by the event loop's clock.
            rollback_s: patience for a roll-back.
            position_needed: that a standby has to have replayed.

        Raises:
            WrongTenantError: not a tenant's id.
            ValueError: a lock that is none.
        """
        self._connection, self._call, self._function = connection, call, function
        self._deadline, self._rollback_s = deadline, rollback_s
        self._only_reads = call.max_staleness_s is not None
        self._begin = begin_statement(
            call.tenant_id, call.locks, only_reads=self._only_reads, position_needed=position_needed
        )
        # Whether its begin may be joined to another's commit. It is to wait for nobody, for the other's answer would
        # wait too, and what is not fresh enough is to be said of it alone.
        self._may_follow = not call.locks and position_needed is None
        self._transaction = ShardTransaction(connection, call.shard, call.tenant_id, publisher)
        self._value: Any = None

    @property
    def may_be_followed(self) -> bool:
        """Whether its commit may be joined to another's begin, as far as this one says.

        Not if a statement failed, for then the commit may turn out to be a roll-back, which only its own answer tells;
        and not if one may have changed the session, for then that is to be looked at first.
        """
        return not self._transaction.failed and not self._connection.is_suspect

    def may_be_followed_by(self, following: "Attempt") -> bool:
        """Whether its commit may be joined to the begin of that one, whose answer then comes with the commit's.

        Not if the commit may be waited for beyond the other's deadline, but for what is granted to any commit.
        """
        in_time = following._deadline + _COMMIT_GRACE_S >= self._commit_deadline()  # noqa: SLF001 - one of its own kind
        return self.may_be_followed and following._may_follow and in_time  # noqa: SLF001

    async def begin(self) -> Ending | None:
        """Begin the transaction with its tenant and its locks."""
        try:
            async with asyncio.timeout_at(self._deadline):
                await self._connection.execute(self._begin)
        except Exception as error:  # noqa: BLE001 - whatever it is, it becomes the unit's outcome
            ending = await self._rolled_back(error)
            # On a connection that was lost while it was idle nothing was tried.
            return ending._replace(begun=False) if is_session_over(error) else ending
        except BaseException:
            await self._connection.roll_back(self._rollback_s)
            raise
        return None

    async def work(self) -> Ending | None:
        """Run the unit's function."""
        connection, call = self._connection, self._call
        try:
            async with asyncio.timeout_at(self._deadline):
                try:
                    self._value = await self._function(self._transaction, call.arguments)
                finally:
                    self._transaction.is_over = True
        except Exception as error:  # noqa: BLE001 - a unit may raise anything; it becomes its outcome
            return await self._rolled_back(error)
        except BaseException:
            await connection.roll_back(self._rollback_s)
            raise
        if connection.is_closed():
            return _failed(ShardUnavailableError(call.shard, "the connection broke"), again=True)
        if not connection.is_in_transaction():
            return _failed(UnitFailedError(call.name, "", "it ended its own transaction"))
        return None

    async def commit(self) -> Ending:
        """Commit, and nothing else."""
        connection, call = self._connection, self._call
        connection.has_warned = False
        try:
            async with asyncio.timeout_at(self._commit_deadline()):
                status = await connection.execute("COMMIT")
        except TimeoutError:
            await connection.roll_back(self._rollback_s)
            return self._unknown("the commit was not answered in time")
        except FOREIGN as error:
            await self._leave(error)
            return self._refused(error) if commit_is_refused(error) else self._unknown(type(error).__name__)
        except BaseException:
            connection.terminate()
            raise
        if status != "COMMIT":
            # A statement had failed and the unit went on as if it had not; PostgreSQL rolls such a transaction back.
            return _failed(UnitFailedError(call.name, "25P02", "it went on after a statement had failed"))
        return self._committed()

    async def commit_and_begin(self, following: "Attempt") -> tuple[Ending, Ending | None]:
        """Commit, and begin the one that follows, in one round trip.

        Args:
            following: on the same connection. ``may_be_followed_by`` it is to hold of this one.

        Returns:
            How this one ended, and how the other did; None if that has begun.
        """
        connection = self._connection
        connection.has_warned = False
        try:
            async with asyncio.timeout_at(self._commit_deadline()):
                await connection.execute(f"COMMIT; {following._begin}")  # noqa: SLF001 - one of its own kind
        except (TimeoutError, *FOREIGN) as error:
            # After an error the server waits inside the second transaction, inside the first, or outside of both.
            inside = not connection.is_closed() and connection.is_in_transaction()
            await self._leave(error)
            return await self._of_joint_text(error, following, inside=inside)
        except BaseException:
            connection.terminate()
            raise
        return self._committed(), None

    async def _of_joint_text(
        self, error: BaseException, following: "Attempt", *, inside: bool
    ) -> tuple[Ending, Ending]:
        """Which of the two the failure was, and what that says of the other.

        An error that only the begin can raise comes after the commit. One with which commits are refused, and no
        transaction open after it, is the commit's. With anything else, such as a cancelled text or a lost connection,
        nobody knows of the first. The second is not there in any case: what it had begun has been rolled back.
        """
        later = _failed(ShardUnavailableError(following._call.shard, "not begun"), again=True, begun=False)  # noqa: SLF001
        if inside and is_of_begin(error):
            assert isinstance(error, Exception)
            return self._committed(), await following._rolled_back(error)  # noqa: SLF001
        if isinstance(error, TimeoutError):
            return self._unknown("the commit was not answered in time"), later
        if not inside and commit_is_refused(error):
            return self._refused(error), later
        return self._unknown(type(error).__name__), later

    async def _leave(self, error: BaseException) -> None:
        """Out of the transaction; and out of the connection, where nothing more can be done on it."""
        if is_session_over(error):
            self._connection.terminate()
        await self._connection.roll_back(self._rollback_s)

    async def _rolled_back(self, error: Exception) -> Ending:
        connection = self._connection
        await self._leave(error)
        if self._only_reads and takes_no_writes(error):
            return _failed(UnitFailedError(self._call.name, "25006", "it writes, and was called to read"))
        elsewhere = takes_no_writes(error)
        if elsewhere:
            connection.terminate()
        if self._transaction.schema and may_be_of_a_schema(error) and not await self._is_here():
            return _failed(TenantMovedError(self._call.tenant_id, self._call.shard))
        # By the last the schema may have been closed, and was opened before it was looked at.
        again = may_retry(error) or (connection.is_closed() and isinstance(error, FOREIGN)) or is_denied(error)
        ours = _in_our_words(error, self._call)
        if connection.is_closed() and isinstance(error, asyncpg.InterfaceError):
            # It was used after it had been lost, which is no fault of the unit's.
            ours = ShardUnavailableError(self._call.shard, type(error).__name__)
        return _failed(ours, again=again)._replace(elsewhere=elsewhere)

    async def _is_here(self) -> bool:
        """Whether the tenant's schema may be used; True also where that cannot be found out."""
        if self._connection.is_closed():
            return True
        try:
            async with asyncio.timeout(self._rollback_s):
                is_here: bool = await self._connection.fetchval(_IS_HERE, self._transaction.schema)
        except (TimeoutError, *FOREIGN):
            self._connection.terminate()
            return True
        except BaseException:
            self._connection.terminate()
            raise
        return is_here

    def _committed(self) -> Ending:
        if self._connection.has_warned:
            # The wait for the standbys was cut short. What is on this server alone goes with it.
            return self._unknown("the commit was not confirmed by the standbys")
        return Ending(UnitOutcome(self._value, tuple(self._transaction.published), None))

    def _refused(self, error: BaseException) -> Ending:
        return _failed(translate(error, self._call.name, self._call.shard), again=may_retry(error))

    def _unknown(self, reason: str) -> Ending:
        return _failed(CommitUnknownError(self._call.shard, reason))

    def _commit_deadline(self) -> float:
        return max(self._deadline, asyncio.get_running_loop().time() + _COMMIT_GRACE_S)


def _in_our_words(error: Exception, call: UnitCall) -> SpazaError:
    match error:
        case SpazaError():
            return error
        case TimeoutError():  # an OSError too, so before the foreign ones
            return UnitTimeoutError(call.name, call.shard)
        case asyncpg.PostgresError() | asyncpg.InterfaceError() | asyncpg.InternalClientError() | OSError():
            return translate(error, call.name, call.shard)
        case _:
            _log.error(
                "unit_raised", unit=call.name, shard=call.shard, correlation_id=call.correlation_id, exc_info=error
            )
            return UnitFailedError(call.name, "", type(error).__name__)


def _failed(error: SpazaError, *, again: bool = False, begun: bool = True) -> Ending:
    return Ending(UnitOutcome(None, (), error), again, begun)
