"""The life of one part: what may end the instance, and what may not."""

import asyncio
import errno
import subprocess
from collections.abc import Sequence
from typing import Any, cast

import pytest

from cluster.errors import ServerStartError
from cluster.parts import Part
from cluster.tending import Tending


class Ended:
    """A process that has ended."""

    returncode = -9

    def poll(self) -> int:
        return self.returncode


class FlakyPart:
    """Each start fails as it is told to, or starts what has ended by the next look."""

    name = "Redis"
    process = cast("subprocess.Popen[bytes]", Ended())

    def __init__(self, starts: Sequence[Exception | None]) -> None:
        self._starts = list(starts)

    async def start(self) -> str:
        if not self._starts:
            # Nothing else happens in this test.
            raise asyncio.CancelledError
        failure = self._starts.pop(0)
        if failure is not None:
            raise failure
        return "here"

    async def stop(self, *, timeout_s: float) -> None:
        """Has ended."""


class Notes:
    """What was observed, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def part_runs(self, part: Part, seconds: float, detail: str) -> None:
        self.lines.append(f"runs {detail}")

    def part_failed(self, part: Part, reason: str) -> None:
        self.lines.append(f"failed {reason}")

    async def part_ended(self, part: Part, how: str) -> None:
        self.lines.append(f"ended {how}")

    async def clear(self, part: Part) -> None:
        self.lines.append("cleared")


async def _lived(starts: Sequence[Exception | None], notes: Notes) -> list[float]:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    part: Any = FlakyPart(starts)
    with pytest.raises(asyncio.CancelledError):
        await Tending(part, notes, pause=pause).run()
    return pauses


async def test_a_part_that_dies_is_cleared_and_started_again() -> None:
    notes = Notes()

    await _lived([None, None], notes)

    assert notes.lines[:4] == ["runs here", "ended was killed by SIGKILL", "cleared", "runs here"]


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("whatever")])
async def test_whatever_hinders_a_later_start_is_told_and_tried_again(failure: Exception) -> None:
    notes = Notes()

    await _lived([None, failure, None], notes)

    assert "failed Redis could not be started again: " + repr(failure) in notes.lines
    assert notes.lines.count("runs here") == 2


async def test_the_pauses_grow_while_it_keeps_failing() -> None:
    gone = ServerStartError("Redis", "gone")

    pauses = await _lived([None, gone, gone, gone], Notes())

    assert pauses == [0.1, 0.2, 0.4, 0.8]


@pytest.mark.parametrize("failure", [ServerStartError("Redis", "gone"), OSError(errno.ENOSPC, "full")])
async def test_a_first_start_that_fails_is_the_failure_of_the_instance(failure: Exception) -> None:
    part: Any = FlakyPart([failure])

    with pytest.raises(type(failure)):
        await Tending(part, Notes()).run()
