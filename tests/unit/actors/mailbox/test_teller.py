"""An owner is told in order, and again where a call fails."""

import asyncio
from collections.abc import Sequence

from actors.mailbox.teller import Teller, Told
from tests.unit.actors.mailbox.test_partition import until


class Owner:
    """Is told by hand: notes what it took, after it raised what it was given to."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.taken: list[int] = []
        self.since: list[float] = []
        self.wall = 100.0
        self.done = asyncio.Event()

    async def call(self, rows: Sequence[Told], since: float) -> None:
        await asyncio.sleep(0)
        if self.faults:
            raise self.faults.pop(0)
        self.taken += [seq for _, seq, _ in rows]
        self.since.append(since)
        self.done.set()

    def teller(self, most: int = 10_000) -> Teller:
        return Teller("mailbox:q:0", self.call, lambda: self.wall, most)


async def told(owner: Owner) -> list[int]:
    async with asyncio.timeout(60.0):
        await owner.done.wait()
    return owner.taken


def row(seq: int) -> Told:
    return (0, seq, ())


async def test_what_could_not_be_told_goes_before_what_came_meanwhile() -> None:
    owner = Owner(TimeoutError(), AttributeError("unforeseen"))
    teller = owner.teller()
    teller.tell(row(1))
    await until(lambda: not owner.faults)
    owner.wall += 5
    teller.tell(row(2))

    assert await told(owner) == [1, 2]
    assert owner.since == [100.0]  # so that the owner can tell how old the oldest is


async def test_after_any_fault_and_a_pause_the_owner_is_told_again() -> None:
    owner = Owner()
    teller = owner.teller()
    teller.tell(row(1))
    await told(owner)
    owner.done.clear()
    teller.tell(row(2))

    assert await told(owner) == [1, 2]


async def test_what_is_older_than_the_sweep_needs_is_left_to_the_sweep() -> None:
    owner = Owner(TimeoutError())
    teller = owner.teller()
    teller.tell(row(1))
    await until(lambda: not owner.faults)
    owner.wall += 20
    teller.tell(row(2))

    assert await told(owner) == [2]


async def test_no_more_is_kept_than_may_wait() -> None:
    owner = Owner(TimeoutError())
    teller = owner.teller(most=2)
    for seq in (1, 2, 3):
        teller.tell(row(seq))

    assert await told(owner) == [1, 2]
    teller.tell(row(4))
    owner.done.clear()
    assert await told(owner) == [1, 2, 4]
