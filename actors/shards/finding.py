"""Finds among the servers of a DSN the one that takes writes, also when it is another than a moment ago.

asyncpg tries the hosts of a DSN one after the other, and a server that is there and does not answer takes all the time
that there is. Here the one that was found last has a head start, and then all are asked at once.
"""

import asyncio
from typing import Any, TypeVar

import asyncpg

from actors.shards.dsn import single_hosts

Kind = TypeVar("Kind", bound="asyncpg.Connection[Any]")
# How long the server that was found last is waited for alone.
_HEAD_START_S = 0.25


class Servers:
    """The servers of one DSN, and which of them was the right one last. Holds no connection. For one event loop.

    Which server is right each says itself while one connects (``in_hot_standby``), so a standby is never taken for the
    primary. Weakness: of two that both take writes it takes either; what starts servers has to prevent that.
    """

    def __init__(self, dsn: str, attributes: str = "primary", *, first: int = 0) -> None:
        """Connect to nothing yet.

        Args:
            dsn: with one host or several.
            attributes: what the right one of several is.
            first: which of them is asked first, by its place in the DSN or any greater number.
        """
        self._dsns = single_hosts(dsn, attributes)
        self._found = first % len(self._dsns)
        self._losing: set[asyncio.Task[Any]] = set()

    @property
    def found(self) -> int:
        """The place in the DSN of the server that was found last."""
        return self._found

    async def connect(self, kind: type[Kind], *, timeout_s: float, **options: Any) -> Kind:
        """A connection to the right one.

        Args:
            kind: of connection.
            timeout_s: for all of it.
            options: as asyncpg takes them.

        Raises:
            TimeoutError: none has answered, or only those that are not right.
            asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError: all have answered, and
                none is right; what the likeliest said.
        """
        if len(self._dsns) == 1:
            return await _connect(self._dsns[0], kind, timeout_s, options)
        async with asyncio.timeout(timeout_s):
            self._found, connection = await self._race(kind, timeout_s, options)
        return connection

    async def _race(self, kind: type[Kind], timeout_s: float, options: dict[str, Any]) -> tuple[int, Kind]:
        places = {self._begin(self._found, kind, timeout_s, options): self._found}
        failures: list[BaseException] = []
        waiting, all_begun = set(places), False
        try:
            while True:
                limit_s = None if all_begun else _HEAD_START_S
                done, waiting = await asyncio.wait(waiting, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    error = task.exception()
                    if error is None:
                        return places.pop(task), task.result()
                    failures.append(error)
                if not all_begun:
                    all_begun = True
                    others = [place for place in range(len(self._dsns)) if place != self._found]
                    begun = {self._begin(place, kind, timeout_s, options): place for place in others}
                    places |= begun
                    waiting |= begun.keys()
                if not waiting:
                    raise _likeliest(failures)
        finally:
            for task in places:
                self._let_go(task)

    def _begin(self, place: int, kind: type[Kind], timeout_s: float, options: dict[str, Any]) -> "asyncio.Task[Kind]":
        return asyncio.get_running_loop().create_task(_connect(self._dsns[place], kind, timeout_s, options))

    def _let_go(self, task: "asyncio.Task[Any]") -> None:
        """What it connects to is not wanted."""
        self._losing.add(task)
        task.cancel()
        task.add_done_callback(self._lost)

    def _lost(self, task: "asyncio.Task[Any]") -> None:
        self._losing.discard(task)
        if not task.cancelled() and task.exception() is None:
            task.result().terminate()


async def connect(dsn: str, *, timeout_s: float, **options: Any) -> "asyncpg.Connection[Any]":
    """A connection to the primary of a DSN, for who needs one once; as ``Servers.connect``."""
    return await Servers(dsn).connect(asyncpg.Connection, timeout_s=timeout_s, **options)


async def _connect(dsn: str, kind: type[Kind], timeout_s: float, options: dict[str, Any]) -> Kind:
    connection: Kind = await asyncpg.connect(dsn, connection_class=kind, timeout=timeout_s, **options)
    return connection


def _likeliest(failures: list[BaseException]) -> BaseException:
    """Of a primary that refuses, before that of a standby, before that of what is away."""

    def rank(error: BaseException) -> int:
        match error:
            case asyncpg.CannotConnectNowError() | asyncpg.ConnectionDoesNotExistError():
                return 1
            case asyncpg.PostgresError():
                return 0
            case asyncpg.TargetServerAttributeNotMatched():
                return 2
            case _:
                return 3

    return min(failures, key=rank)
