"""What PostgreSQL and asyncpg say, in our words. Foreign errors go no further than this."""

import asyncpg

from actors.shards.errors import ShardError, ShardUnavailableError, UnitFailedError

# Everything that asyncpg raises of itself, and what a socket raises under it.
FOREIGN = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)

# Lost against another transaction, or prepared against tables that have changed since: the same unit may succeed now.
_LOST_AGAINST_ANOTHER = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
)
# Connections, resources, and an operator's intervention: the server's state, not the unit's fault. 25006 is a write on
# what has become a standby. A cancelled statement (57014) or a lock that did not come (55P03) is the server's load.
_UNAVAILABLE_CLASSES = ("08", "53", "58", "XX")
_UNAVAILABLE_STATES = frozenset({"25006", "55P03", "57014", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04"})

# With these the server ends the session, whatever it was doing.
_SESSION_OVER = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"})

# What a statement says that names a schema which is gone, or which its role may not use any more.
_OF_A_SCHEMA = frozenset({"3F000", "42501", "42704", "42883", "42P01"})

# What a transaction begins with waits for locks, and its functions raise SP...; a commit that does leaves none open.
_OF_BEGIN = frozenset({"40P01", "55P03", "SP001", "SP002"})


def may_retry(error: BaseException) -> bool:
    """Whether the unit lost against another and is worth an immediate second try."""
    return isinstance(error, _LOST_AGAINST_ANOTHER)


def is_session_over(error: BaseException) -> bool:
    """Whether nothing more can be done on the connection, which may not look closed yet.

    The server has said that it ends the session, or asyncpg has lost count of what it says, as of one that it ended
    while nothing was asked.
    """
    if isinstance(error, asyncpg.InternalClientError):
        return not may_retry(error)
    return isinstance(error, asyncpg.PostgresConnectionError) or sqlstate_of(error) in _SESSION_OVER


def takes_no_writes(error: BaseException) -> bool:
    """Whether the server is read-only, as one that has become a standby is; the primary is another one."""
    return isinstance(error, asyncpg.ReadOnlySQLTransactionError)


def may_be_of_a_schema(error: BaseException) -> bool:
    """Whether a statement may have failed because its schema is not there, or closed."""
    return sqlstate_of(error) in _OF_A_SCHEMA


def is_denied(error: BaseException) -> bool:
    """Whether a privilege is missing, on a schema or on what is in it; row security does not count."""
    return (
        isinstance(error, asyncpg.InsufficientPrivilegeError)
        and getattr(error, "server_source_function", None) == "aclcheck_error"
    )


def commit_is_refused(error: BaseException) -> bool:
    """Whether an error in answer to COMMIT proves that nothing was committed.

    Constraints that are checked at the commit and serialization failures do. A server that goes down, or a connection
    that breaks, does not.
    """
    return (
        isinstance(error, asyncpg.PostgresError)
        and not isinstance(error, asyncpg.PostgresConnectionError)
        and sqlstate_of(error)[:2] in {"23", "40", "25", "42", "0A"}
    )


def is_of_begin(error: BaseException) -> bool:
    """Whether an error in answer to the joint text of a commit and a begin is of the begin, so that the commit is done.

    Only what the begin's own functions raise proves that. A text that is cancelled, or for which memory does not
    suffice, may have failed before its first statement.
    """
    return sqlstate_of(error) in _OF_BEGIN


def translate(error: BaseException, name: str, shard: int) -> ShardError:
    """The error of a unit that was rolled back.

    Args:
        error: one of ``FOREIGN``.
        name: of the unit.
        shard: where it ran.
    """
    state = sqlstate_of(error)
    # Of the client's own errors those that are internal are of the connection; others are of what it was told to do.
    if (
        isinstance(error, OSError | asyncpg.InternalClientError)
        or state[:2] in _UNAVAILABLE_CLASSES
        or state in _UNAVAILABLE_STATES
    ):
        return ShardUnavailableError(shard, f"{type(error).__name__} {state}".rstrip())
    return UnitFailedError(name, state, type(error).__name__)


def sqlstate_of(error: BaseException) -> str:
    """PostgreSQL's code, or empty for an error of the client's side."""
    state = getattr(error, "sqlstate", None)
    return state if isinstance(state, str) else ""
