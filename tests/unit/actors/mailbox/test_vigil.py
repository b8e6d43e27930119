"""No background task ends unnoticed."""

import asyncio

from actors.mailbox.vigil import Vigil


async def _raises() -> None:
    raise RuntimeError("a fault")


async def _returns() -> None:
    return None


async def _stays() -> None:
    await asyncio.Event().wait()


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_task_that_raises_or_returns_is_reported_by_its_name() -> None:
    for work in (_raises, _returns):
        fallen: list[str] = []
        vigil = Vigil(fallen.append)
        vigil.watch("stays", _stays())
        vigil.watch("ends", work())
        await _settle()

        assert fallen == ["ends"]
        await vigil.stop()
        assert fallen == ["ends"]


async def test_tasks_that_are_stopped_are_not_reported() -> None:
    fallen: list[str] = []
    vigil = Vigil(fallen.append)
    vigil.watch("stays", _stays())
    await _settle()

    await vigil.stop()

    assert fallen == []
