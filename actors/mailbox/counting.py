"""Counting what waits in a partition, at once or beside everything else; and the driver's errors as the mailbox's."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from actors.mailbox.errors import JournalRefusedError, JournalUnavailableError
from actors.mailbox.journal import Count, Counted
from kernel.sql import load_queries

_QUERIES = load_queries(Path(__file__).with_name("queries.sql"))
# While a batch is encoded, and what the server says of a value; with the latter nothing is written.
UNENCODABLE = (TypeError, ValueError, OverflowError)
UNWRITABLE = (asyncpg.DataError, asyncpg.NotNullViolationError, asyncpg.ProgramLimitExceededError)
_FOREIGN = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


@contextmanager
def translated(queue: str) -> Iterator[None]:
    """Raise the driver's errors as ``JournalUnavailableError``."""
    try:
        yield
    except _FOREIGN as error:
        state = getattr(error, "sqlstate", None)
        detail = type(error).__name__ + (f" {state}" if isinstance(state, str) else "")
        if isinstance(error, asyncpg.DiskFullError):
            detail += ": the disk of the database is full; make room"
        raise JournalUnavailableError(queue, detail) from error


@contextmanager
def refused(queue: str, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Raise errors that say that what was to be written is at fault as ``JournalRefusedError``."""
    try:
        yield
    except errors as error:
        raise JournalRefusedError(queue, f"{type(error).__name__}: {error}"[:200]) from error


async def count_rows(connection: Any, queue: str, partition: int, counted: Counted) -> Count:
    """Count on a connection, as its transaction sees the journal."""
    low_water, swept_to, settling = counted
    row = await connection.fetchrow(_QUERIES["count"], queue, partition, low_water, swept_to, list(settling))
    return Count(dict(zip(row[0], row[1], strict=True)), row[2])


class PostgresCounting:
    """Implements ``Counting``: a snapshot, held on a connection of its own that is closed with the result."""

    def __init__(self, connection: Any, queue: str, partition: int, counted: Counted, patience_s: float) -> None:
        self._connection, self._queue, self._partition, self._counted = connection, queue, partition, counted
        self._patience_s = patience_s
        self.snapshot = ""

    async def begin(self, timeout_s: float) -> None:
        """Take the snapshot; raises the driver's errors, and the connection is closed then."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                self.snapshot = await self._connection.fetchval(_QUERIES["snapshot"])
        except BaseException:
            self._connection.terminate()
            raise

    async def result(self) -> Count:
        try:
            with translated(self._queue):
                async with asyncio.timeout(self._patience_s):
                    return await count_rows(self._connection, self._queue, self._partition, self._counted)
        finally:
            self._connection.terminate()

    def abandon(self) -> None:
        self._connection.terminate()
