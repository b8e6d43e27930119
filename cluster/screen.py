"""What a person sees: each part with its time, the table of what runs where, what to try next, and how it ends."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console


class Place(NamedTuple):
    """Something to look at, and where it is."""

    name: str
    where: str


class Screen:
    """Writes to standard output; colours and a line of what is awaited only where a person sits."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = Console(highlight=False, soft_wrap=True) if console is None else console
        self._started = time.monotonic()
        self._waiting = self._console.status("starting") if self._console.is_terminal else None

    def begin(self, data_dir: str) -> None:
        """The first line."""
        self._console.print(f"Spaza starts in {data_dir}", markup=False)
        if self._waiting is not None:
            self._waiting.start()

    def part_up(self, name: str, seconds: float, detail: str) -> None:
        """A part runs."""
        line = f"  {name:<16}{seconds:>6.1f} s   {detail}"
        self._console.print(line, markup=False, style="green" if self._waiting is not None else None)

    def ready(self, places: Sequence[Place], next_thing: str) -> None:
        """All runs."""
        self._stop_waiting()
        self._console.print(f"\nReady after {time.monotonic() - self._started:.1f} s\n", style="bold")
        for place in places:
            self._console.print(f"  {place.name:<16}{place.where}", markup=False)
        self._console.print(f"\n{next_thing}\nCtrl-C ends it.", markup=False)

    def warn(self, message: str) -> None:
        """Something went wrong and is being mended."""
        self._console.print(f"{time.strftime('%H:%M:%S')}  {message}", markup=False, style="yellow")

    def ending(self) -> None:
        """The end begins."""
        self._stop_waiting()
        self._console.print("\nSpaza ends ...", markup=False)

    def ended(self, seconds: float) -> None:
        """Nothing runs any more."""
        self._console.print(f"Ended after {seconds:.1f} s. The data stays.", markup=False)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.stop()
