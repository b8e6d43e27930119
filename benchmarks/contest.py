"""The systems in turns, A B A B, so that a machine that drifts drifts for all of them alike."""

import platform
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.outbox import Outbox
from benchmarks.percentiles import median
from benchmarks.system import System, UnavailableError
from benchmarks.turn import Scale, Turn, TurnReport


@dataclass(slots=True)
class Outcome:
    """Everything that a contest showed.

    Attributes:
        machine: what it ran on.
        turns: in the order in which they were run.
        skipped: name of a system that could not run to the reason.
    """

    machine: dict[str, str | int] = field(default_factory=dict)
    turns: list[TurnReport] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Whether every message of every turn was answered exactly once."""
        return all(not any(turn.verdict) for turn in self.turns)

    def middle(self, system: str, http_processes: int) -> dict[str, float]:
        """The median of each figure over a system's turns."""
        turns = [turn for turn in self.turns if (turn.system, turn.http_processes) == (system, http_processes)]
        names = dict.fromkeys(name for turn in turns for name in turn.figures)
        return {name: median([turn.figures[name] for turn in turns if name in turn.figures]) for name in names}


class Contest:
    """Owns the stand-ins and the numbering of messages over all turns."""

    def __init__(self, systems: list[System], directory: Path, scale: Scale) -> None:
        self._systems = {system.name: system for system in systems}
        self._directory = directory
        self._scale = scale
        self._next = dict.fromkeys(self._systems, 0)
        self.outcome = Outcome(_machine())

    def run(self, parts: frozenset[str], *, rounds: int, more_processes: list[int]) -> None:
        """Run the rounds with one HTTP process on each side, then once the acks with more of them."""
        for system in self._systems.values():
            self._prepare(system)
        for number in range(1, rounds + 1):
            self._round(f"round {number} of {rounds}", parts, 1)
        if "acks" in parts:
            for processes in more_processes:
                self._round(f"{processes} HTTP processes", frozenset({"acks"}), processes)

    def _prepare(self, system: System) -> None:
        print(f"preparing: {system.name}", flush=True)
        try:
            # Nothing is sent to it yet.
            system.prepare("http://127.0.0.1:9")
        except UnavailableError as error:
            print(f"  skipped: {error}", flush=True)
            self.outcome.skipped[system.name] = str(error)

    def _round(self, title: str, parts: frozenset[str], http_processes: int) -> None:
        for name, system in self._systems.items():
            if name in self.outcome.skipped:
                continue
            print(f"{title}: {name}", flush=True)
            outbox = Outbox(self._directory)
            outbox.start()
            try:
                report = Turn(system, outbox, self._next[name], self._scale, http_processes).run(parts)
            finally:
                outbox.stop()
            self._next[name] = report.next_sequence
            self.outcome.turns.append(report)


def _machine() -> dict[str, str | int]:
    return {
        "cores": psutil.cpu_count() or 0,
        "memory_mib": psutil.virtual_memory().total // (1024 * 1024),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }
