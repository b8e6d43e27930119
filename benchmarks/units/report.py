"""The figures as medians over the rounds, with what is to be reached. Pure."""

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.percentiles import median, percentile
from benchmarks.units.across import Asked

# Of bare asyncpg, by the units of a call.
GOALS: Final[Mapping[int, float]] = {32: 0.6, 256: 0.8}
_TIMES, _PLUS_MS = 1.2, 5.0


class Rate(NamedTuple):
    """Units a second of a function in one round; batch 0 is bare asyncpg."""

    function: str
    batch: int
    per_s: float


def share(rates: Sequence[Rate], function: str, batch: int) -> float:
    """What goes through the actor, as a part of what goes on bare asyncpg; NaN where it was not measured."""
    return _middle(rates, function, batch) / _middle(rates, function, 0)


def in_time(asked: Sequence[Asked]) -> float:
    """The part of the questions that were answered within 1.2 x the slowest shard and 5 ms."""
    return sum(one.whole_ms <= _TIMES * one.slowest_ms + _PLUS_MS for one in asked) / len(asked)


def as_table(rates: Sequence[Rate], asked: Sequence[Asked]) -> str:
    """Both parts, as far as they were measured."""
    console = Console(file=StringIO(), width=110)
    if rates:
        table = Table(title="Units of work a second on one shard, medians")
        for heading in ("function", "units a call", "bare asyncpg", "ShardPool actor", "actor / bare", "wanted"):
            table.add_column(heading, justify="right")
        for function in dict.fromkeys(rate.function for rate in rates):
            for batch in sorted({rate.batch for rate in rates} - {0}):
                bare, ours = _middle(rates, function, 0), _middle(rates, function, batch)
                goal = GOALS.get(batch)
                said = "" if goal is None else f"{goal:.2f}: {'yes' if ours / bare >= goal else 'NO'}"
                table.add_row(function, str(batch), f"{bare:,.0f}", f"{ours:,.0f}", f"{ours / bare:.2f}", said)
        console.print(table)
    if asked:
        table = Table(title=f"The first 50 rows of 32 shards, {len(asked)} times")
        for heading in ("ms", "p50", "p90", "max"):
            table.add_column(heading, justify="right")
        for name in ("alone_ms", "slowest_ms", "whole_ms"):
            ordered = sorted(getattr(one, name) for one in asked)
            table.add_row(name.removesuffix("_ms"), *(f"{percentile(ordered, at):.2f}" for at in (50, 90, 100)))
        console.print(table)
        said = "yes" if in_time(asked) >= 0.9 else "NO"
        console.print(f"within {_TIMES:g} x the slowest shard + {_PLUS_MS:g} ms: {in_time(asked):.0%}; 9 of 10: {said}")
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def _middle(rates: Sequence[Rate], function: str, batch: int) -> float:
    return median([one.per_s for one in rates if (one.function, one.batch) == (function, batch)])
