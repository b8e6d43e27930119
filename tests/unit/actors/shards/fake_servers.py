"""Servers without a network, for what works with connections."""

import asyncio
from collections.abc import Callable
from typing import Any


class FakeConnection:
    """Takes every text, or raises what stands under its first word."""

    def __init__(self, failures: dict[str, list[Exception]]) -> None:
        self._failures = failures
        self.sent: list[str] = []
        self.has_warned = self.is_suspect = False
        self._closed = self._inside = False
        self._listeners: list[Callable[[Any], None]] = []

    def is_closed(self) -> bool:
        return self._closed

    def is_in_transaction(self) -> bool:
        return self._inside

    def add_termination_listener(self, listener: Callable[[Any], None]) -> None:
        self._listeners.append(listener)

    async def execute(self, text: str, *_arguments: Any) -> str:
        await asyncio.sleep(0)
        self.sent.append(text)
        word = text.split(maxsplit=1)[0].rstrip(";")
        if failures := self._failures.get(word):
            raise failures.pop(0)
        self._inside = text != "COMMIT"
        return word

    async def roll_back(self, _patience_s: float) -> None:
        self._inside = False

    async def assert_clean(self) -> None:
        """It is."""

    def terminate(self) -> None:
        self._closed = True
        while self._listeners:
            self._listeners.pop()(self)

    def is_lost_without_a_word(self) -> None:
        """As asyncpg leaves it where the server ends an idle session."""
        self._closed = True

    async def close(self, *, timeout: float) -> None:  # noqa: ASYNC109 - as asyncpg has it
        await asyncio.sleep(0)
        self.terminate()


class FakeServers:
    """Gives connections while it is there.

    Attributes:
        found: which server it is.
        away: how often it is not there from now on.
        failures: by first word of a text, what its next ones raise.
        made: all connections that it gave.
    """

    def __init__(self) -> None:
        self.found = 0
        self.away = 0
        self.failures: dict[str, list[Exception]] = {}
        self.made: list[FakeConnection] = []

    async def connect(self, _kind: Any, **_options: Any) -> FakeConnection:
        await asyncio.sleep(0)
        if self.away:
            self.away -= 1
            raise ConnectionRefusedError
        self.made.append(FakeConnection(self.failures))
        return self.made[-1]
