"""A contest's outcome as a table to read and as JSON to keep."""

from collections.abc import Mapping
from dataclasses import asdict
from io import StringIO

import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.contest import Outcome
from benchmarks.goals import GOALS, judge

_NOISE = "CPU of others"
_Parts = Mapping[str, Mapping[str, float]]


def as_json(outcome: Outcome) -> bytes:
    """All raw figures of all turns."""
    plain = asdict(outcome)
    for turn, report in zip(plain["turns"], outcome.turns, strict=True):
        turn["verdict"] = report.verdict._asdict()
    return orjson.dumps(plain, option=orjson.OPT_INDENT_2)


def as_table(outcome: Outcome) -> str:
    """Medians side by side with their ratio, then CPU a message by role, then what was not answered as it should."""
    console = Console(file=StringIO(), width=120)
    for processes in sorted({turn.http_processes for turn in outcome.turns}):
        console.print(_figures(outcome, processes))
    if any(turn.system == "spaza" for turn in outcome.turns):
        console.print(_goals(outcome))
    for turn in outcome.turns:
        if turn.cpu_ms:
            console.print(_by_role(f"{turn.system}, CPU a message, ms", turn.cpu_ms, turn.tools_ms))
        if turn.memory_mib:
            console.print(_by_role(f"{turn.system}, memory (PSS), MiB", turn.memory_mib, {}))
    for turn in outcome.turns:
        wrong = ", ".join(f"{name} {count}" for name, count in turn.verdict._asdict().items())
        console.print(f"{turn.system}, {turn.http_processes} HTTP: {wrong}")
    for name, reason in outcome.skipped.items():
        console.print(f"{name} was skipped: {reason}")
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def _figures(outcome: Outcome, processes: int) -> Table:
    systems = list(dict.fromkeys(turn.system for turn in outcome.turns))
    columns = {system: outcome.middle(system, processes) for system in systems}
    table = Table(title=f"{processes} HTTP process{'es' * (processes > 1)} on each side, medians")
    table.add_column("figure")
    for system in systems:
        table.add_column(system, justify="right")
    compared = {"peer", "spaza"} <= set(systems)
    if compared:
        table.add_column("spaza / peer", justify="right")
    for name in dict.fromkeys(name for column in columns.values() for name in column):
        cells = [_shown(column.get(name)) for column in columns.values()]
        if compared:
            ours, theirs = columns["spaza"].get(name), columns["peer"].get(name)
            if ours is None or not theirs or name.startswith(_NOISE):
                cells.append("")
            else:
                cells.append(f"{ours / theirs:.2f}")
        table.add_row(name, *cells)
    return table


def _goals(outcome: Outcome) -> Table:
    spaza, peer = outcome.middle("spaza", 1), outcome.middle("peer", 1)
    table = Table(title="To reach on two cores")
    for heading in ("figure", "bound", "reached", ""):
        table.add_column(heading)
    for goal in GOALS:
        judged = judge(goal, spaza, peer)
        measure = " x the peer's" if goal.of_peer else ""
        bound = f"{'at most' if goal.at_most else 'at least'} {_shown(goal.bound)}{measure}"
        reached, said = ("", "not measured") if judged is None else (_shown(judged[0]), "yes" if judged[1] else "NO")
        table.add_row(goal.figure, bound, reached, said)
    return table


def _by_role(title: str, parts: _Parts, tools: _Parts) -> Table:
    table = Table(title=title)
    table.add_column("role")
    for part in parts:
        table.add_column(part, justify="right")
    for source in (parts, tools):
        for role in dict.fromkeys(role for by_role in source.values() for role in by_role if role != "total"):
            table.add_row(role, *(_shown(by_role.get(role)) for by_role in source.values()))
        if source is parts:
            totals = (by_role.get("total", sum(by_role.values())) for by_role in parts.values())
            table.add_row("total", *(_shown(total) for total in totals), end_section=True)
    return table


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
