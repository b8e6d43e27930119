"""What waits for a call and what is under way, and the one timer that watches over their deadlines."""

import asyncio
from typing import Any

from actors.mailbox.rides import Rides


def items(count: int = 1, body: bytes = b"") -> list[tuple[int, tuple[Any, ...]]]:
    return [(0, (str(number), "k", "t", body, {}, 0.0, 0, None)) for number in range(count)]


def soon(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_who_waits_and_who_is_under_way_is_told_when_it_is_too_late() -> None:
    rides = Rides()
    under_way = rides.add(items(), soon(0.02))
    assert len(rides.begin(10, 10)) == 1
    waiting, patient = rides.add(items(), soon(0.03)), rides.add(items(), soon(60.0))

    async with asyncio.timeout(60.0):
        assert await under_way is None
        assert await waiting is None

    assert not patient.done()


async def test_a_deadline_is_kept_that_comes_after_a_later_one() -> None:
    rides = Rides()
    patient = rides.add(items(), soon(60.0))
    hurried = rides.add(items(), soon(0.01))

    async with asyncio.timeout(60.0):
        assert await hurried is None

    assert not patient.done()


async def test_a_deadline_that_is_over_is_told_of_at_once() -> None:
    async with asyncio.timeout(60.0):
        assert await Rides().add(items(), soon(-1.0)) is None


async def test_what_was_answered_is_not_told_of_again() -> None:
    rides = Rides()
    answered = rides.add(items(), soon(0.01))
    begun = rides.begin(10, 10)
    begun[0].answer.set_result({})
    rides.end(begun)
    last = rides.add(items(), soon(0.02))

    async with asyncio.timeout(60.0):
        assert await last is None

    assert answered.result() == {}


async def test_a_call_takes_what_fits_in_order_and_at_least_one() -> None:
    rides = Rides()
    for count in (2, 3, 1):
        rides.add(items(count, b"x" * 10), soon(60.0))

    assert [[len(ride.items) for ride in rides.begin(5, 1000)] for _ in range(3)] == [[2, 3], [1], []]

    for count in (2, 3, 1):
        rides.add(items(count, b"x" * 10), soon(60.0))

    assert [[len(ride.items) for ride in rides.begin(100, 15)] for _ in range(4)] == [[2], [3], [1], []]
    assert rides.messages == 0


async def test_who_has_given_up_stays_behind() -> None:
    rides = Rides()
    rides.add(items(3), soon(60.0)).cancel()
    answer = rides.add(items(), soon(60.0))

    assert [ride.answer for ride in rides.begin(3, 10)] == [answer]
    assert rides.messages == 0
