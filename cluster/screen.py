"""What a person sees: each part with its time, the table of what runs where, what to try next, and how it ends."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from rich.console import Console

from kernel.plain_text import visible


class Place(NamedTuple):
    """Something to look at, and where it is."""

    name: str
    where: str


class LastingConsole(Console):
    """Outlives its reader: when nobody reads any more it falls silent, where Rich would end the program."""

    def on_broken_pipe(self) -> None:
        """Lead the rest to nowhere, also what stays buffered, which the end of the program would stumble over."""
        self.quiet = True
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.file.fileno())
            os.close(nowhere)


class Screen:
    """Writes to standard output; colours and a line of what is awaited only where a person sits.

    What cannot be written is lost, and nothing else: an instance does not end for want of a reader or of room.
    """

    def __init__(self, console: LastingConsole | None = None) -> None:
        self._console = LastingConsole(highlight=False, soft_wrap=True) if console is None else console
        self._started = time.monotonic()
        self._waiting = self._console.status("starting") if self._console.is_terminal else None

    def begin(self, data_dir: str) -> None:
        """The first line."""
        self._print(f"Spaza starts in {data_dir}", markup=False)
        if self._waiting is not None:
            with suppress(OSError):
                self._waiting.start()

    def part_up(self, name: str, seconds: float, detail: str) -> None:
        """A part runs."""
        line = f"  {name:<16}{seconds:>6.1f} s   {detail}"
        self._print(line, markup=False, style="green" if self._waiting is not None else None)

    def ready(self, places: Sequence[Place], next_thing: str) -> None:
        """All runs."""
        self._stop_waiting()
        self._print(f"\nReady after {time.monotonic() - self._started:.1f} s\n", style="bold")
        for place in places:
            self._print(f"  {place.name:<16}{place.where}", markup=False)
        self._print(f"\n{next_thing}\nCtrl-C ends it.", markup=False)

    def warn(self, message: str) -> None:
        """Something went wrong and is being mended."""
        self._print(f"{time.strftime('%H:%M:%S')}  {message}", markup=False, style="yellow")

    def ending(self) -> None:
        """The end begins."""
        self._stop_waiting()
        self._print("\nSpaza ends ...", markup=False)

    def ended(self, seconds: float) -> None:
        """Nothing runs any more."""
        self._print(f"Ended after {seconds:.1f} s. The data stays.", markup=False)
        try:
            self._console.file.flush()
        except OSError:
            # Else Python tries again at its own end, and turns that failure into an exit status.
            self._console.on_broken_pipe()

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            with suppress(OSError):
                self._waiting.stop()

    def _print(self, text: str, **style: Any) -> None:
        with suppress(OSError):
            self._console.print("\n".join(map(visible, text.split("\n"))), **style)
