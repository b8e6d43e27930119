"""What is measured, seen from outside: something that takes webhooks and sends replies."""

from typing import Protocol

import psutil


class UnavailableError(Exception):
    """A system cannot be measured on this machine; the text says why and what would help."""


class System(Protocol):
    """One of the contestants. Its files survive ``stop``."""

    @property
    def name(self) -> str: ...

    @property
    def webhook_url(self) -> str:
        """Where webhooks go; known once started."""

    def prepare(self, graph_url: str) -> None:
        """Make its files and the 50 merchants, so that every later start is a warm one. It does not run afterwards.

        Raises:
            UnavailableError: something that it needs is not installed.
        """

    def start(self, graph_url: str, http_processes: int) -> None:
        """Start everything. Returns when it may be asked; whether it answers yet, the caller tries. Blocks."""

    def stop(self) -> None:
        """End everything and leave no process. May be called whatever state it is in."""

    def pause(self) -> None:
        """Stop handling messages; webhooks are still taken."""

    def resume(self) -> None:
        """Handle them again."""

    def processes(self) -> list[psutil.Process]:
        """All processes that belong to it now."""

    def role(self, command_line: str) -> str:
        """What part a process plays, by its command line."""
