"""The brokers side by side, as medians over the turns, and what is to be reached. Pure."""

from collections.abc import Callable, Sequence
from io import StringIO
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.broker.brokers import Turn
from benchmarks.percentiles import median

_FIGURES: dict[str, Callable[[Turn], float]] = {
    "confirmed/s": lambda turn: turn.publish.per_s,
    "confirm p50 ms": lambda turn: turn.publish.p50_ms,
    "confirm p99 ms": lambda turn: turn.publish.p99_ms,
    "publisher's CPU, cores": lambda turn: turn.publish.cpu_share,
    "end to end/s": lambda turn: turn.end_to_end_per_s,
}


class Goal(NamedTuple):
    """At least so many times RabbitMQ's figure, with so many publishers."""

    figure: str
    publishers: int
    at_least: float


GOALS = (
    Goal("confirmed/s", 32, 1.0),
    Goal("confirmed/s", 256, 1.0),
    Goal("end to end/s", 32, 2.0),
    Goal("end to end/s", 256, 2.0),
)


def middle(turns: Sequence[Turn], broker: str, publishers: int, figure: str) -> float:
    """The median of a figure; NaN where it was not measured."""
    return median([_FIGURES[figure](one) for one in turns if (one.broker, one.publishers) == (broker, publishers)])


def reached(turns: Sequence[Turn]) -> bool:
    """Whether every message that was confirmed was consumed once; the goals are for the reader to judge."""
    return all(turn.consumed == turn.sent for turn in turns)


def as_table(turns: Sequence[Turn]) -> str:
    """Medians with their ratios, batch sizes, and the goals."""
    console = Console(file=StringIO(), width=110)
    table = Table(title="RabbitMQ and the mailbox, medians")
    for heading in ("publishers", "figure", "rabbitmq", "mailbox", "mailbox / rabbitmq"):
        table.add_column(heading, justify="right")
    for publishers in sorted({turn.publishers for turn in turns}):
        for figure in _FIGURES:
            theirs, ours = (middle(turns, broker, publishers, figure) for broker in ("rabbitmq", "mailbox"))
            table.add_row(str(publishers), figure, f"{theirs:,.2f}", f"{ours:,.2f}", f"{ours / theirs:.2f}")
        for name in dict.fromkeys(name for turn in turns for name in turn.batches):
            sizes = [turn.batches[name] for turn in turns if turn.publishers == publishers and name in turn.batches]
            table.add_row(str(publishers), name, "", f"{median(sizes):,.1f}", "")
    console.print(table)
    for goal in GOALS:
        theirs, ours = (middle(turns, broker, goal.publishers, goal.figure) for broker in ("rabbitmq", "mailbox"))
        if ours == ours and theirs == theirs:  # noqa: PLR0124 - neither is NaN
            said = "yes" if ours / theirs >= goal.at_least else "NO"
            console.print(
                f"{goal.figure}, {goal.publishers} publishers: at least {goal.at_least:g} x RabbitMQ's: {said}"
            )
    for turn in turns:
        if turn.consumed != turn.sent:
            console.print(f"{turn.broker}, {turn.publishers}: {turn.sent} confirmed, {turn.consumed} consumed")
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()
