"""The figures as medians over the rounds, with what is to be reached. Pure."""

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.percentiles import median

PER_S: Final = 20_000.0
P50_MS, P99_MS = 2.0, 10.0


class Figures(NamedTuple):
    """What was measured, by round.

    Attributes:
        callers: of the closed loop.
        tenants: that they asked for, in turns.
        rate: checks a second of the open loop.
        per_s: checks a second, closed loop.
        checks_a_call: how many came with one call to the owner.
        owner_cpu_us: of the actor for each check, closed loop; says what it could decide on a core of its own.
        p50_ms: of a check, open loop.
        p99_ms: likewise.
    """

    callers: int
    tenants: int
    rate: float
    per_s: Sequence[float]
    checks_a_call: float
    owner_cpu_us: float
    p50_ms: Sequence[float]
    p99_ms: Sequence[float]


def reached(figures: Figures) -> Mapping[str, bool]:
    """By goal, whether it is reached."""
    return {
        "checks/s": median(figures.per_s) >= PER_S,
        "p50": median(figures.p50_ms) < P50_MS,
        "p99": median(figures.p99_ms) < P99_MS,
    }


def as_table(figures: Figures) -> str:
    """Each figure with its goal."""
    said = {goal: "yes" if met else "NO" for goal, met in reached(figures).items()}
    table = Table(title=f"One rate limiter, {figures.tenants} tenants, medians of {len(figures.per_s)} rounds")
    for heading in ("figure", "measured", "wanted"):
        table.add_column(heading, justify="right")
    table.add_row(
        f"checks/s, {figures.callers:,} callers in one process",
        f"{median(figures.per_s):,.0f}",
        f"at least {PER_S:,.0f}: {said['checks/s']}",
    )
    table.add_row("checks in one call", f"{figures.checks_a_call:,.0f}", "")
    table.add_row("the actor's CPU a check, us", f"{figures.owner_cpu_us:.1f}", "")
    for name, values, goal in (("p50", figures.p50_ms, P50_MS), ("p99", figures.p99_ms, P99_MS)):
        table.add_row(
            f"a check at {figures.rate:g}/s, {name} ms", f"{median(values):.2f}", f"below {goal:g}: {said[name]}"
        )
    console = Console(file=StringIO(), width=110)
    console.print(table)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()
