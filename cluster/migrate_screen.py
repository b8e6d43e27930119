"""How far a migration is: a bar where a person sits, plain lines now and then where not, JSON lines for programs.

All of it on standard error, so that standard output holds the result alone.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from actors.shards.migration_report import Progress

_EVERY_S = 2.0


class MigrationScreen:
    """Shows progress. A context manager: what moves stands still when it ends."""

    def __init__(
        self, *, as_json: bool, file: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._json, self._clock = as_json, clock
        self._file = sys.stderr if file is None else file
        console = Console(file=self._file)
        self._bar = None if as_json or not console.is_terminal else _bar(console)
        self._task = None if self._bar is None else self._bar.add_task("tenants", total=None, rest="")
        self._next = clock() + _EVERY_S

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, progress: Progress) -> None:
        """Say how far it is, unless that was just said."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=progress.done, total=progress.total, rest=estimate(progress))
            return
        if progress.total == 0 or (self._clock() < self._next and progress.done < progress.total):
            return
        self._next = self._clock() + _EVERY_S
        if self._json:
            line = json.dumps({
                "done": progress.done, "total": progress.total, "failed": progress.failed,
                "per_s": round(progress.per_s, 1), "left_s": _rounded(progress.left_s),
            })  # fmt: skip
        else:
            line = f"{progress.done:,} of {progress.total:,} tenants, {estimate(progress)}"
        print(line, file=self._file, flush=True)


def estimate(progress: Progress) -> str:
    """The rate, and how long the rest may take."""
    if progress.left_s is None:
        return "just begun"
    failed = f", {progress.failed:,} failed" if progress.failed else ""
    left = "" if progress.done >= progress.total else f", about {_duration(progress.left_s)} left"
    return f"{progress.per_s:.0f}/s{left}{failed}"


def _duration(seconds: float) -> str:
    whole = max(1, round(seconds))
    if whole < 90:
        return f"{whole} s"
    return f"{round(whole / 60)} min" if whole < 5_400 else f"{whole / 3_600:.1f} h"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _bar(console: Console) -> Bar:
    return Bar(
        TextColumn("Migrating"), BarColumn(), MofNCompleteColumn(), TextColumn("tenants, {task.fields[rest]}"),
        console=console,
    )  # fmt: skip
