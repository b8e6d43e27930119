"""An operator's pause: no change and no other owner keeps it waiting."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from actors.mailbox.errors import JournalUnavailableError
from actors.mailbox.handle import MailboxHandle
from actors.mailbox.interventions import Step
from actors.mailbox.operations import Change, Operations, Place
from actors.mailbox.selection import Selection
from config.topology import Topology


class SlowChange:
    """Redrives when it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()

    async def redrive(self, wanted: Selection, *, after_seq: int, limit: int) -> Step:
        await self.let.wait()
        return Step((), None)


class Paused:
    """A partition that notes what it is told, each as slowly as the test says."""

    def __init__(self) -> None:
        self.interventions: Any = SlowChange()
        self.noted: list[bool] = []
        self.slow = [0.0, 0.0]

    async def pause(self, *, paused: bool) -> None:
        await asyncio.sleep(self.slow.pop(0))
        self.noted.append(paused)


async def test_a_pause_does_not_wait_for_a_redrive_that_is_under_way() -> None:
    partition = Paused()
    operations = Operations({0: partition})
    change = asyncio.ensure_future(operations.change(Change("redrive", "dead", Selection(), Place(), 10)))
    await asyncio.sleep(0)

    async with asyncio.timeout(60.0):
        errors = await operations.pause(paused=True)

    assert (errors, partition.noted, change.done()) == ({}, [True], False)
    partition.interventions.let.set()
    assert (await change).after is None


async def test_of_two_pauses_the_later_one_holds() -> None:
    partition = Paused()
    partition.slow = [0.02, 0.0]
    operations = Operations({0: partition})

    await asyncio.gather(operations.pause(paused=True), operations.pause(paused=False))

    assert partition.noted == [True, False]


class Call:
    def __init__(self, name: str, asked: list[str], answer: Any) -> None:
        self._name, self._asked, self._answer = name, asked, answer

    def remote(self, *_: Any) -> Any:
        async def answered() -> Any:
            self._asked.append(self._name)
            return self._answer

        return answered()


class Owner:
    def __init__(self, name: str, asked: list[str]) -> None:
        self.pause = Call(name, asked, {})
        self.drain = Call(name, asked, None)


class Handle(MailboxHandle):
    """Knows owners of four partitions, but finds no first one."""

    def __init__(self) -> None:
        queues = {"q": {"bindings": [{"exchange": "x"}], "partitions": 4}}
        super().__init__(Topology.model_validate({"exchanges": {"x": {"type": "fanout"}}, "queues": queues}))
        self.asked: list[str] = []

    async def _actor(self, name: str) -> Any:
        if name == "mailbox:q:0":
            raise ValueError("Failed to look up actor")
        return Owner(name, self.asked)


ORDERS: list[Callable[[Handle], Any]] = [
    lambda handle: handle.pause("q", paused=True),
    lambda handle: handle.drain("q"),
]


@pytest.mark.parametrize("order", ORDERS, ids=["pause", "drain"])
async def test_an_owner_that_cannot_be_reached_keeps_the_order_from_no_other(order: Callable[[Handle], Any]) -> None:
    handle = Handle()

    with pytest.raises(JournalUnavailableError, match="cannot be reached"):
        await order(handle)

    assert sorted(handle.asked) == ["mailbox:q:1", "mailbox:q:2", "mailbox:q:3"]


async def test_a_pause_says_of_how_many_partitions_it_could_not_be_noted() -> None:
    with pytest.raises(JournalUnavailableError, match="1 of 4 partitions, such as 0"):
        await Handle().pause("q", paused=True)
