"""A unit on its way through a lane, and the call that it came with."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import Any, NamedTuple

from actors.shards.unit import UnitCall, UnitFunction, UnitOutcome
from kernel.errors import SpazaError


class Work(NamedTuple):
    """A unit to be run, with its place in the call it came with.

    Attributes:
        position_needed: in the primary's log, which a standby has to have replayed to run it.
    """

    position: int
    call: UnitCall
    function: UnitFunction
    position_needed: str | None = None


Outcomes = dict[int, UnitOutcome]
# Puts an outcome for each unit into ``outcomes``, by the deadline.
Runner = Callable[[Sequence[Work], float, Outcomes], Coroutine[Any, Any, None]]


class CallOnWay:
    """The units of one call for one lane, and who waits for them."""

    __slots__ = ("left", "outcomes", "over", "timer")

    def __init__(self, outcomes: Outcomes) -> None:
        self.outcomes = outcomes
        # Those that have not ended, in their order.
        self.left: dict[WaitingUnit, None] = {}
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.timer: asyncio.TimerHandle | None = None


class WaitingUnit:
    """One unit; waits in a ``FairQueue`` until a hand takes it."""

    __slots__ = (
        "arrived", "call", "deadline", "expected_s", "function", "is_counted", "is_held", "party", "position",
        "position_needed", "source", "started", "tries",
    )  # fmt: skip

    def __init__(self, work: Work, source: CallOnWay, arrived: float, deadline: float) -> None:
        self.position, self.call, self.function, self.position_needed = work
        self.source, self.arrived, self.deadline = source, arrived, deadline
        # Among system units each call is a party.
        self.party: Hashable = self.call.tenant_id or source
        self.tries = 0
        # Whether a hand has it, and whether the queue counts it as under way; from when on, and for how long it is
        # expected to be.
        self.is_held = self.is_counted = False
        self.started = self.expected_s = 0.0

    def end(self, error: SpazaError | None, outcome: UnitOutcome | None = None) -> bool:
        """Put down how it ended, and tell the caller if it was the last. Returns whether somebody waited for it."""
        call = self.source
        call.outcomes[self.position] = UnitOutcome(None, (), error) if outcome is None else outcome
        waited = self in call.left
        if waited:
            del call.left[self]
            if not call.left and not call.over.done():
                call.over.set_result(None)
        return waited
