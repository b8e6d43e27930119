"""A few connections of the mailbox's own to one database, opened when needed and thrown away when in doubt.

No pool with its reset query between two borrowers: only the mailbox's statements run on them, and those leave nothing
behind in the session.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg

from actors.replicated_commits import ReplicatedConnection, UnreplicatedCommitError
from actors.shards.finding import Servers

CONNECT_S = 2.0
# The server gives up on a statement of ours that nobody waits for any more.
_SETTINGS = {
    "application_name": "spaza-mailbox",
    "statement_timeout": "15s",
    "lock_timeout": "5s",
    # An owner that stands still in a takeover keeps the others out no longer than this.
    "idle_in_transaction_session_timeout": "10s",
    # One whose machine has gone is noticed in about 20 s, with the locks that it holds.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    # So that a count that was given up does not go on.
    "client_connection_check_interval": "2s",
    "jit": "off",
    # The statements reach rows by their keys whatever the values; planning each time costs more than running.
    "plan_cache_mode": "force_generic_plan",
    # A plan is kept for long, and may be made while a day is empty, when to read it whole seems cheapest.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
}

_STARTED = "SELECT pg_postmaster_start_time()"


class JournalConnection(ReplicatedConnection):
    """A connection that knows its server's era, by the count of its ``Connections``."""

    __slots__ = ("era",)

    era: int


Lender = Callable[[float], AbstractAsyncContextManager[JournalConnection]]


class Connections:
    """At most ``size`` connections, each lent to one at a time.

    A connection on which anything went wrong is closed; the next borrower opens another. So it mends itself after the
    server was away, and a statement that timed out cannot answer its successor. Where a new one leads to another server
    than the last, which is after a failover, and where a server takes no writes, the idle ones are closed too.

    Those of one era are connections to one run of the server: one that crashes closes all, so a new one belongs to the
    era of those that are open beside it. Should the whole machine have gone, so that nobody told of their end, the time
    at which the server was started says so.
    """

    def __init__(self, dsn: str, size: int) -> None:
        self._servers = Servers(dsn)
        self._server = self._servers.found
        self._idle: list[JournalConnection] = []
        self._open_ones: set[JournalConnection] = set()
        self._started: object = None
        self._era = 0
        self._free = asyncio.Semaphore(size)

    @asynccontextmanager
    async def lend(self, timeout_s: float) -> AsyncIterator[JournalConnection]:
        """Lend a connection for the body, which has so much time, waiting for the connection included.

        Raises:
            TimeoutError: it took longer.
            UnreplicatedCommitError: what was committed may be on the primary alone.
        """
        async with asyncio.timeout(timeout_s):
            async with self._free:
                connection = await self._ready()
                connection.has_warned = clean = False
                try:
                    yield connection
                    if connection.has_warned:
                        raise UnreplicatedCommitError("not confirmed by the standbys")
                    clean = True
                except asyncpg.ReadOnlySQLTransactionError:
                    await self.aclose()
                    raise
                finally:
                    if clean and not connection.is_closed():
                        self._idle.append(connection)
                    else:
                        connection.terminate()

    @asynccontextmanager
    async def extra(self, timeout_s: float) -> AsyncIterator[JournalConnection]:
        """Open one more for the body and close it afterwards, for what may take long; otherwise as ``lend``."""
        async with asyncio.timeout(timeout_s):
            connection = await self._open()
            try:
                yield connection
            finally:
                connection.terminate()

    async def detached(self, timeout_s: float) -> "asyncpg.Connection[asyncpg.Record]":
        """Open one more, which the caller terminates.

        Raises:
            TimeoutError: it took longer.
        """
        async with asyncio.timeout(timeout_s):
            return await self._open()

    async def aclose(self) -> None:
        """Close what is idle."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.terminate()

    async def _ready(self) -> JournalConnection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return await self._open()

    async def _open(self) -> JournalConnection:
        connection = await self._servers.connect(JournalConnection, timeout_s=CONNECT_S, server_settings=_SETTINGS)
        try:
            started = await connection.fetchval(_STARTED)
        except BaseException:
            connection.terminate()
            raise
        is_another = self._servers.found != self._server
        if is_another:
            self._server = self._servers.found
            await self.aclose()
        self._open_ones = {one for one in self._open_ones if not one.is_closed()}
        if is_another or started != self._started or not self._open_ones:
            self._started, self._era = started, self._era + 1
        connection.era = self._era
        self._open_ones.add(connection)
        return connection
