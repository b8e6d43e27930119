"""One timer a request, whose deadline may be changed."""

import asyncio
import math

import pytest

from gateway.timer import Timer


async def test_work_that_goes_beyond_the_deadline_is_ended_and_raises() -> None:
    timer = Timer()

    async def work() -> None:
        with timer:
            timer.allow(0.01)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await work()
    assert timer.is_over
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_deadline_may_be_put_off_brought_nearer_and_taken_away() -> None:
    timer = Timer()
    waited = asyncio.Event()

    with timer:
        timer.allow(0.0)
        timer.allow(60.0)
        timer.allow(0.02)
        timer.deadline = math.inf
        asyncio.get_running_loop().call_later(0.05, waited.set)
        await waited.wait()

    assert not timer.is_over


async def test_a_deadline_that_is_set_after_it_looked_in_vain_holds_too() -> None:
    async def work() -> None:
        rung = asyncio.Event()
        with Timer() as timer:
            timer._arm(0.0)
            asyncio.get_running_loop().call_later(0.01, rung.set)
            await rung.wait()
            timer.allow(0.01)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await work()


async def test_a_task_that_somebody_else_cancels_stays_cancelled() -> None:
    async def work() -> None:
        with Timer() as timer:
            timer.allow(60.0)
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_work_that_ends_all_the_same_is_left_its_result() -> None:
    ended: list[str] = []
    with Timer() as timer:
        timer.allow(0.0)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("tidied up")

    task = asyncio.current_task()
    assert task is not None
    assert (ended, task.cancelling()) == (["tidied up"], 0)
