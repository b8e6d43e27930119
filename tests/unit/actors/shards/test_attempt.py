"""A commit and the next begin in one text: whatever PostgreSQL says to it, each of the two units ends as it did end."""

import asyncio
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from actors.shards.attempt import Attempt, Ending
from actors.shards.errors import CommitUnknownError, ShardUnavailableError, UnitFailedError
from actors.shards.unit import Transaction, UnitCall

TENANT = "a" * 32
BEGIN = f"BEGIN; RESET ALL; SELECT set_config('app.current_tenant', '{TENANT}', true)"
JOINT = f"COMMIT; {BEGIN}"


class FakeConnection:
    """Answers a text with what was put under it: a status, or an error and where the server then waits."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = answers
        self.sent: list[str] = []
        self.inside = self.closed = self.is_suspect = self.has_warned = False

    def is_closed(self) -> bool:
        return self.closed

    def is_in_transaction(self) -> bool:
        return self.inside

    def suspect(self) -> None:
        self.is_suspect = True

    def terminate(self) -> None:
        self.closed = True

    async def roll_back(self, patience_s: float) -> None:
        self.sent.append("ROLLBACK")
        self.inside = False

    async def execute(self, text: str, *arguments: Any) -> str:
        self.sent.append(text)
        answer = self.answers.get(text, text.split(";", maxsplit=1)[0])
        if isinstance(answer, tuple):
            error, self.inside, self.closed = answer
            raise error
        self.inside = text != "COMMIT"
        return str(answer)

    fetch = fetchrow = execute


async def _fine(transaction: Transaction, arguments: Any) -> Any:
    await transaction.execute("SELECT 1")
    return arguments


async def _swallows(transaction: Transaction, arguments: Any) -> Any:
    try:
        await transaction.execute("SELECT 1/0")
    except asyncpg.PostgresError:
        return arguments


async def _sets(transaction: Transaction, arguments: Any) -> None:
    await transaction.execute("SET search_path = x")


def attempt(
    connection: Any,
    function: Any = _fine,
    *,
    locks: tuple[int, ...] = (),
    value: Any = "v",
    within_s: float = 5.0,
    needs: str | None = None,
) -> Attempt:
    call = UnitCall("unit", 3, TENANT, value, locks, max_staleness_s=None if needs is None else 1.0)
    return Attempt(connection, call, function, None, asyncio.get_running_loop().time() + within_s, 1.0, needs)


async def test_what_a_unit_leaves_behind_says_nothing_on_its_connection_any_more() -> None:
    connection, left_behind = FakeConnection(), list[Transaction]()

    async def leaves(transaction: Transaction, _arguments: Any) -> None:
        left_behind.append(transaction)

    unit = attempt(connection, leaves)
    assert await unit.begin() is None
    assert await unit.work() is None
    with pytest.raises(RuntimeError, match="has ended"):
        await left_behind[0].execute("SELECT 1")

    assert connection.sent == [BEGIN]
    assert (await unit.commit()).outcome.error is None


async def committed_and_begun(answer: Any) -> tuple[FakeConnection, Ending, Ending | None]:
    connection = FakeConnection(**{JOINT: answer})
    first, second = attempt(connection, value="first"), attempt(connection, value="second")
    assert await first.begin() is None
    assert await first.work() is None
    ending, following = await first.commit_and_begin(second)
    return connection, ending, following


async def test_one_text_commits_the_one_and_begins_the_other() -> None:
    connection, ending, following = await committed_and_begun("SELECT 1")

    assert ending.outcome.unwrap() == "first"
    assert following is None
    assert connection.sent[-1] == JOINT


def _error(kind: type[asyncpg.PostgresError]) -> asyncpg.PostgresError:
    return kind("no")


async def test_a_begin_that_is_refused_after_the_commit_says_that_the_commit_is_done() -> None:
    connection, ending, following = await committed_and_begun((_error(asyncpg.LockNotAvailableError), True, False))

    assert ending.outcome.unwrap() == "first"
    assert following is not None
    assert isinstance(following.outcome.error, ShardUnavailableError)
    assert following.begun
    assert connection.sent[-1] == "ROLLBACK"


async def test_a_commit_that_is_refused_leaves_nothing_and_the_other_comes_again_without_a_try_lost() -> None:
    _, ending, following = await committed_and_begun((_error(asyncpg.UniqueViolationError), False, False))

    assert isinstance(ending.outcome.error, UnitFailedError)
    assert (ending.outcome.error.sqlstate, ending.again) == ("23505", False)
    assert following is not None
    assert (following.again, following.begun) == (True, False)


async def test_a_commit_that_lost_against_another_may_be_tried_again() -> None:
    _, ending, following = await committed_and_begun((_error(asyncpg.SerializationError), False, False))

    assert (ending.again, ending.begun) == (True, True)
    assert following is not None
    assert following.again


@pytest.mark.parametrize(
    "answer",
    [
        # Cancelled, or out of memory, before the first statement or after the commit: nobody can tell.
        (_error(asyncpg.QueryCanceledError), True, False),
        (_error(asyncpg.QueryCanceledError), False, False),
        (_error(asyncpg.OutOfMemoryError), True, False),
        # Refused with what commits are refused with, but inside a transaction, which a refused commit leaves.
        (_error(asyncpg.UniqueViolationError), True, False),
        (_error(asyncpg.AdminShutdownError), False, True),
        (ConnectionResetError("gone"), False, True),
        (asyncpg.InterfaceError("closed"), False, True),
        (TimeoutError(), True, False),
        (TimeoutError(), False, True),
    ],
)
async def test_after_any_other_failure_nobody_knows_of_the_one_and_nothing_of_the_other_is_there(answer: Any) -> None:
    _, ending, following = await committed_and_begun(answer)

    assert isinstance(ending.outcome.error, CommitUnknownError)
    assert not ending.again
    assert following is not None
    assert (following.again, following.begun) == (True, False)


async def test_a_unit_that_went_on_after_a_failed_statement_commits_by_itself_where_the_answer_tells() -> None:
    connection = FakeConnection(
        **{"SELECT 1/0": (_error(asyncpg.DivisionByZeroError), True, False), "COMMIT": "ROLLBACK"}
    )
    first = attempt(connection, _swallows)
    await first.begin()

    assert await first.work() is None
    assert not first.may_be_followed
    assert isinstance((await first.commit()).outcome.error, UnitFailedError)


async def test_a_unit_that_raises_is_logged_with_what_it_was_done_for() -> None:
    async def raises(_transaction: Transaction, _arguments: Any) -> None:
        raise ZeroDivisionError

    call = UnitCall("unit", 3, TENANT, None, correlation_id="mine")
    connection: Any = FakeConnection()
    failing = Attempt(connection, call, raises, None, asyncio.get_running_loop().time() + 5.0, 1.0)
    await failing.begin()

    with capture_logs() as lines:
        await failing.work()

    assert [(one["event"], one["correlation_id"]) for one in lines] == [("unit_raised", "mine")]


async def test_a_unit_that_may_have_changed_the_session_is_not_followed_before_that_was_looked_at() -> None:
    first = attempt(FakeConnection(), _sets)
    await first.begin()

    assert await first.work() is None
    assert not first.may_be_followed


async def test_a_unit_that_waits_for_locks_follows_nobody_for_it_would_hold_up_the_answer() -> None:
    first = attempt(FakeConnection())

    assert not first.may_be_followed_by(attempt(FakeConnection(), locks=(7,)))
    assert not first.may_be_followed_by(attempt(FakeConnection(), needs="0/1"))
    assert first.may_be_followed_by(attempt(FakeConnection()))


async def test_a_unit_follows_nobody_whose_commit_may_take_longer_than_it_would_wait() -> None:
    first = attempt(FakeConnection(), within_s=5.0)

    assert not first.may_be_followed_by(attempt(FakeConnection(), within_s=0.5))
    # A commit's half a second more than the deadline is granted to whoever waits for it too.
    assert first.may_be_followed_by(attempt(FakeConnection(), within_s=4.6))
    assert attempt(FakeConnection(), within_s=0.1).may_be_followed_by(attempt(FakeConnection(), within_s=0.2))


async def test_a_statement_that_a_unit_gave_up_counts_as_failed() -> None:
    class Slow(FakeConnection):
        async def execute(self, text: str, *arguments: Any) -> str:
            if text == "SELECT 1":
                await asyncio.sleep(60)
            return await super().execute(text, *arguments)

    async def impatient(transaction: Transaction, _arguments: Any) -> None:
        try:
            async with asyncio.timeout(0):
                await transaction.execute("SELECT 1")
        except TimeoutError:
            pass

    first = attempt(Slow(), impatient)
    await first.begin()
    await first.work()

    assert not first.may_be_followed


async def test_a_commit_that_the_standbys_have_not_confirmed_is_unknown_though_it_is_answered() -> None:
    class Warned(FakeConnection):
        async def execute(self, text: str, *arguments: Any) -> str:
            self.has_warned = text.startswith("COMMIT") or self.has_warned
            return await super().execute(text, *arguments)

    alone, joined, following = attempt(Warned()), attempt(connection := Warned()), attempt(FakeConnection())
    for one in (alone, joined):
        await one.begin()
        await one.work()

    assert isinstance((await alone.commit()).outcome.error, CommitUnknownError)
    ending, begun = await joined.commit_and_begin(following)
    assert isinstance(ending.outcome.error, CommitUnknownError)
    assert begun is None
    assert connection.sent[-1] == JOINT


async def test_what_the_server_warned_of_before_the_commit_says_nothing_of_it() -> None:
    one = attempt(connection := FakeConnection())
    await one.begin()
    await one.work()
    connection.has_warned = True

    assert (await one.commit()).outcome.error is None


async def test_a_server_that_takes_no_writes_is_left_and_the_unit_tried_elsewhere() -> None:
    refused = _error(asyncpg.ReadOnlySQLTransactionError)
    one = attempt(connection := FakeConnection(**{"SELECT 1": (refused, True, False)}))
    await one.begin()

    ending = await one.work()

    assert ending is not None
    assert (ending.again, ending.elsewhere, connection.closed) == (True, True, True)
    assert isinstance(ending.outcome.error, ShardUnavailableError)


async def test_a_connection_that_was_lost_while_idle_costs_the_next_unit_no_try() -> None:
    one = attempt(connection := FakeConnection(**{BEGIN: (asyncpg.InternalClientError("state"), False, False)}))

    ending = await one.begin()

    assert ending is not None
    assert (ending.again, ending.begun, connection.closed) == (True, False, True)
    assert isinstance(ending.outcome.error, ShardUnavailableError)


@pytest.mark.parametrize("lost", [asyncpg.InternalClientError("state"), _error(asyncpg.AdminShutdownError)])
async def test_a_connection_that_is_lost_under_a_unit_is_given_up_and_the_unit_tried_again(lost: Exception) -> None:
    one = attempt(connection := FakeConnection(**{"SELECT 1": (lost, False, False)}))
    await one.begin()

    ending = await one.work()

    assert ending is not None
    assert (ending.again, ending.begun, connection.closed) == (True, True, True)
    assert isinstance(ending.outcome.error, ShardUnavailableError)


async def test_to_use_a_connection_after_it_was_lost_is_no_fault_of_the_unit_and_a_wrong_argument_is() -> None:
    for closed, expected in ((True, ShardUnavailableError), (False, UnitFailedError)):
        one = attempt(FakeConnection(**{"SELECT 1": (asyncpg.InterfaceError("no"), False, closed)}))
        await one.begin()

        ending = await one.work()

        assert ending is not None
        assert (type(ending.outcome.error), ending.again) == (expected, closed)


async def test_a_commit_on_a_connection_that_is_lost_is_unknown_and_the_connection_given_up() -> None:
    one = attempt(connection := FakeConnection(COMMIT=(asyncpg.InternalClientError("state"), False, False)))
    await one.begin()
    await one.work()

    assert isinstance((await one.commit()).outcome.error, CommitUnknownError)
    assert connection.closed
