import asyncpg
import pytest

from actors.shards.backoff import retry_delay_s
from actors.shards.errors import ShardUnavailableError, UnitFailedError
from actors.shards.translation import commit_is_refused, is_session_over, may_retry, translate


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncpg.UniqueViolationError("x"), UnitFailedError("unit", "23505", "UniqueViolationError")),
        (asyncpg.InsufficientPrivilegeError("x"), UnitFailedError("unit", "42501", "InsufficientPrivilegeError")),
        (asyncpg.InterfaceError("x"), UnitFailedError("unit", "", "InterfaceError")),
        (asyncpg.ConnectionDoesNotExistError("x"), ShardUnavailableError(3, "ConnectionDoesNotExistError 08003")),
        (asyncpg.TooManyConnectionsError("x"), ShardUnavailableError(3, "TooManyConnectionsError 53300")),
        (asyncpg.DiskFullError("x"), ShardUnavailableError(3, "DiskFullError 53100")),
        (asyncpg.CannotConnectNowError("x"), ShardUnavailableError(3, "CannotConnectNowError 57P03")),
        (asyncpg.AdminShutdownError("x"), ShardUnavailableError(3, "AdminShutdownError 57P01")),
        (asyncpg.ReadOnlySQLTransactionError("x"), ShardUnavailableError(3, "ReadOnlySQLTransactionError 25006")),
        (ConnectionRefusedError("x"), ShardUnavailableError(3, "ConnectionRefusedError")),
        (asyncpg.InternalClientError("x"), ShardUnavailableError(3, "InternalClientError")),
        (asyncpg.ProtocolError("x"), ShardUnavailableError(3, "ProtocolError")),
    ],
)
def test_each_foreign_error_becomes_one_of_ours(error: Exception, expected: Exception) -> None:
    translated = translate(error, "unit", 3)

    assert type(translated) is type(expected)
    assert translated.args == expected.args


def test_postgres_own_text_which_may_quote_rows_does_not_go_further() -> None:
    assert "+2711" not in str(translate(asyncpg.UniqueViolationError("Key (phone)=(+2711) exists"), "unit", 3))


def test_what_lost_against_another_is_tried_again() -> None:
    assert may_retry(asyncpg.SerializationError("x"))
    assert may_retry(asyncpg.DeadlockDetectedError("x"))
    assert may_retry(asyncpg.InvalidCachedStatementError("x"))
    assert not may_retry(asyncpg.UniqueViolationError("x"))


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (asyncpg.SerializationError("x"), True),
        (asyncpg.ForeignKeyViolationError("x"), True),
        (asyncpg.AdminShutdownError("x"), False),
        (asyncpg.QueryCanceledError("x"), False),
        (asyncpg.ConnectionDoesNotExistError("x"), False),
        (asyncpg.InterfaceError("x"), False),
        (ConnectionResetError("x"), False),
    ],
)
def test_only_a_refusal_proves_that_a_commit_did_not_happen(error: Exception, refused: bool) -> None:
    assert commit_is_refused(error) is refused


@pytest.mark.parametrize(
    ("error", "over"),
    [
        (asyncpg.AdminShutdownError("x"), True),
        (asyncpg.IdleInTransactionSessionTimeoutError("x"), True),
        (asyncpg.ConnectionDoesNotExistError("x"), True),
        (asyncpg.InternalClientError("x"), True),
        (asyncpg.OutdatedSchemaCacheError("x"), False),
        (asyncpg.QueryCanceledError("x"), False),
        (asyncpg.InterfaceError("x"), False),
        (TimeoutError("x"), False),
    ],
)
def test_what_ends_a_session_is_known_though_its_connection_looks_open(error: Exception, over: bool) -> None:
    assert is_session_over(error) is over


@pytest.mark.parametrize(("tries", "longest_s"), [(1, 0.005), (2, 0.01), (3, 0.02), (50, 0.25)])
def test_the_wait_doubles_up_to_a_quarter_of_a_second(tries: int, longest_s: float) -> None:
    assert all(longest_s / 2 <= retry_delay_s(tries) <= longest_s for _ in range(100))
