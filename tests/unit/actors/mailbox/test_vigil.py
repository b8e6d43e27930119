"""No background task ends unnoticed."""

import asyncio
import os
import sys
from collections.abc import Iterator

import pytest
import structlog

from actors.mailbox.vigil import Vigil, end_process


@pytest.fixture
def _log_that_raises() -> Iterator[None]:
    def refuse(*_: object) -> str:
        raise OSError("no space left on device")

    structlog.configure(processors=[refuse])
    yield
    structlog.reset_defaults()


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


@pytest.mark.usefixtures("_log_that_raises")
async def test_the_end_of_a_task_is_reported_whatever_the_log_does() -> None:
    fallen: list[str] = []
    vigil = Vigil(fallen.append)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    vigil.watch("ends", _raises())
    await _settle()

    assert fallen == ["ends"]


def test_the_process_is_ended_though_its_streams_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def flush(self) -> None:
            raise OSError("no space left on device")

    codes: list[int] = []
    monkeypatch.setattr(sys, "stdout", Full())
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(os, "_exit", codes.append)

    end_process("partition 0")

    assert codes == [70]


async def test_what_the_queue_can_do_without_goes_on_after_it_raised() -> None:
    fallen: list[str] = []
    runs: list[int] = []

    async def works() -> None:
        runs.append(len(runs))
        if len(runs) < 3:
            raise RuntimeError("a fault")
        await _stays()

    vigil = Vigil(fallen.append, again_s=0.0)
    vigil.tend("figures", works)
    for _ in range(4):
        await _settle()

    assert (len(runs), fallen) == (3, [])
    await vigil.stop()
