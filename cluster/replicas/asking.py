"""Asks the servers of a group what they are, how far they are, and who follows whom."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from kernel.sql import load_queries

QUERIES = load_queries(Path(__file__).with_name("queries.sql"))
UNREACHED = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, TimeoutError)
_LIMIT_S = 2.0
# An operator's session waits for no standby.
_SETTINGS = {"application_name": "spaza replicas", "synchronous_commit": "local", "statement_timeout": "60s"}


class Standing(NamedTuple):
    """What a server says of itself.

    Attributes:
        received: up to where it has the log on its disk, in bytes; of a primary, what it has written.
        replayed: up to where its tables show it.
        streaming: whether a standby is connected to a primary.
        timeline: which log it writes or receives; None of a standby that receives nothing.
        reading: whether a standby that was started has not read yet all that is on its disk; ``received`` says then
            how far it is with that.
    """

    standby: bool
    received: int
    replayed: int
    streaming: bool
    timeline: int | None
    reading: bool = False


class Follower(NamedTuple):
    """What the primary says of a standby.

    Attributes:
        sync_state: ``quorum`` where commits may wait for it.
        lag_s: how long it took lately until what was written here was to be read there.
    """

    streaming: bool
    sync_state: str
    lag_s: float


@asynccontextmanager
async def session(dsn: str, limit_s: float = _LIMIT_S) -> AsyncIterator[Any]:
    """A superuser's session on one server, which ends with the body. Raises what is in ``UNREACHED``."""
    connection = await asyncpg.connect(dsn, timeout=limit_s, server_settings=_SETTINGS)
    try:
        yield connection
    finally:
        connection.terminate()


async def standing(dsn: str) -> Standing:
    """Ask one server. Raises what is in ``UNREACHED``, in two seconds at the latest."""
    async with asyncio.timeout(_LIMIT_S), session(dsn) as connection:
        row = await connection.fetchrow(QUERIES["standing"])
    received, replayed = int(row["received"] or 0), int(row["replayed"] or 0)
    return Standing(row["standby"], received, replayed, row["streaming"], row["timeline"], row["reading"])


async def followers(dsn: str) -> Mapping[str, Follower]:
    """Ask a primary for its standbys, by what they are called. Raises what is in ``UNREACHED``."""
    async with asyncio.timeout(_LIMIT_S), session(dsn) as connection:
        rows = await connection.fetch(QUERIES["followers"])
    return {row["application_name"]: Follower(*list(row)[1:]) for row in rows}


def in_words(error: BaseException) -> str:
    """Why a server was not reached."""
    return "no answer" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
