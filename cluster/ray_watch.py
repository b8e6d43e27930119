"""Watches the processes of Ray without which a node is dead while it looks alive.

Ray does not start them again. Without the raylet no actor and no replica comes back, without the GCS none is found;
what remains of the node only refuses. Whoever learns of it ends the node, so that a whole new one is started.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from cluster.exits import how_it_ended

_VITAL = {"raylet": "raylet", "gcs_server": "GCS server"}
_LOOK_S = 0.2


class Ended(Protocol):
    """A process that has ended."""

    @property
    def returncode(self) -> int | None:
        """As ``subprocess`` gives it."""


def fatal(dead: Iterable[tuple[str, Ended]]) -> str | None:
    """What is told of dead processes, each with the kind that Ray gives it; None where the node can live on."""
    for kind, process in dead:
        if kind in _VITAL and process.returncode is not None:
            return f"Ray's {_VITAL[kind]} {how_it_ended(process.returncode)}"
    return None


async def ray_dies(dead_processes: Callable[[], Iterable[tuple[str, Ended]]]) -> str:
    """Wait until a vital process has ended, and say which and how."""
    while (said := fatal(dead_processes())) is None:  # noqa: ASYNC110 - Ray tells of nothing
        await asyncio.sleep(_LOOK_S)
    return said
