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


def cost(turns: Sequence[Turn]) -> float:
    """The part of the throughput that the chain takes, as the median over the turns."""
    return median([1 - turn.whole / turn.bare for turn in turns])


def reached(turns: Sequence[Turn]) -> bool:
    """Whether it is little enough."""
    return cost(turns) <= MOST_COST


def as_text(turns: Sequence[Turn], plugins: Sequence[str]) -> str:
    """The turns and what follows from them."""
    lines = [f"GET of a product, 32 connections; the chain is {', '.join(plugins)}", "  without/s      with/s"]
    lines += [f"  {turn.bare:9.0f}   {turn.whole:9.0f}" for turn in turns]
    verdict = "yes" if reached(turns) else "NO"
    lines.append(f"The chain takes {cost(turns):.0%} of the throughput; at most {MOST_COST:.0%}: {verdict}")
    return "\n".join(lines)
