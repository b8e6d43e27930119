"""What is to be reached on two cores, held against a contest's medians. Pure."""

from collections.abc import Mapping
from typing import NamedTuple


class Goal(NamedTuple):
    """A bound on one figure of Spaza's, absolute or as a multiple of the peer's.

    Attributes:
        bound: at least this, or below it where ``at_most``.
        of_peer: whether the bound is a multiple of the peer's figure.
    """

    figure: str
    bound: float
    at_most: bool = False
    of_peer: bool = False


GOALS = (
    Goal("answers/s", 1.8, of_peer=True),
    Goal("acks/s, 32 connections", 1.0, of_peer=True),
    Goal("ack at 300/s, p99 ms", 50, at_most=True),
    Goal("reply at 200/s, p99 ms", 250, at_most=True),
    Goal("CPU a message at 200/s, ms", 1.0, at_most=True, of_peer=True),
    Goal("one alone, reply, p50 ms", 25, at_most=True),
    Goal("memory idle, MiB", 4000 * 10**6 / 2**20, at_most=True),
    Goal("start to first 200, s", 45, at_most=True),
)


def judge(goal: Goal, spaza: Mapping[str, float], peer: Mapping[str, float]) -> tuple[float, bool] | None:
    """Hold one goal against the figures.

    Returns:
        what was reached, in the goal's own measure, and whether that suffices; None where it was not measured.
    """
    reached = spaza.get(goal.figure)
    if reached is None:
        return None
    if goal.of_peer:
        theirs = peer.get(goal.figure)
        if not theirs:
            return None
        reached /= theirs
    return reached, reached <= goal.bound if goal.at_most else reached >= goal.bound
