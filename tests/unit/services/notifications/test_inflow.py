"""Only time in which a status could come in counts as waiting for it."""

from typing import Any

import pytest

from services.notifications.inflow import Continuity, Inflow, flows

WELL = {"state": "owning", "consumer_up": True, "paused": False, "draining": False}


class Path:
    """The way of the statuses, and a clock."""

    def __init__(self) -> None:
        self.now, self.asked = 100.0, 0
        self.answer: bool | Exception = True

    async def probe(self) -> bool:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_what_holds_holds_since_it_was_first_seen_and_a_break_or_a_long_silence_begins_it_anew() -> None:
    continuity = Continuity(unseen_s=20.0)

    seen = []
    for now, holds in [(0, True), (15, True), (35, True), (40, False), (41, False), (42, True), (60, True), (81, True)]:
        continuity.note(now, holds=holds)
        seen.append(continuity.since)

    assert seen == [0, 0, 0, None, None, 42, 42, 81]


@pytest.mark.parametrize("trouble", [False, ConnectionError("no replica"), TimeoutError()])
async def test_while_the_way_is_broken_nothing_counts(trouble: bool | Exception) -> None:
    path = Path()
    inflow = Inflow(path.probe, lambda: path.now)
    assert await inflow.since() == 100.0

    path.now, path.answer = 110.0, trouble
    assert await inflow.since() is None
    path.now, path.answer = 150.0, True
    assert await inflow.since() == 150.0
    path.now = 160.0
    assert await inflow.since() == 150.0


async def test_many_who_ask_at_once_are_one_question() -> None:
    path = Path()
    inflow = Inflow(path.probe, lambda: path.now)

    for _ in range(5):
        await inflow.since()
        path.now += 0.1

    assert path.asked == 1


@pytest.mark.parametrize(
    "change",
    [{"state": "recovering"}, {"state": "passive"}, {"consumer_up": False}, {"paused": True}, {"draining": True}],
)
def test_a_queue_that_is_not_well_brings_nothing_in(change: dict[str, Any]) -> None:
    assert flows(WELL)
    assert not flows({**WELL, **change})
    assert not flows({"state": "unreachable"})
