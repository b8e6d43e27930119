"""Rates with and without the chain, and what it costs. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from benchmarks.percentiles import median

# Of the route's throughput.
MOST_COST: Final = 0.35


class Turn(NamedTuple):
    """Requests a second in one turn."""

    bare: float
    whole: float
    method: str = "GET"


def cost(turns: Sequence[Turn]) -> float:
    """The part of the throughput that the chain takes, as the median over the turns."""
    return median([1 - turn.whole / turn.bare for turn in turns])


def reached(turns: Sequence[Turn]) -> bool:
    """Whether it is little enough, for each method."""
    return all(cost(its) <= MOST_COST for its in _by_method(turns).values())


def as_text(turns: Sequence[Turn], plugins: Sequence[str]) -> str:
    """The turns and what follows from them."""
    lines = [f"A product, 32 connections; the chain is {', '.join(plugins)}", "         without/s      with/s"]
    for method, its in _by_method(turns).items():
        lines += [f"  {method}    {turn.bare:9.0f}   {turn.whole:9.0f}" for turn in its]
        verdict = "yes" if reached(its) else "NO"
        lines.append(f"{method}: the chain takes {cost(its):.0%} of the throughput; at most {MOST_COST:.0%}: {verdict}")
    return "\n".join(lines)


def _by_method(turns: Sequence[Turn]) -> dict[str, list[Turn]]:
    found: dict[str, list[Turn]] = {}
    for turn in turns:
        found.setdefault(turn.method, []).append(turn)
    return found
