"""One instance for the journeys that leave it whole; journeys that break things start their own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.journeys.platform import Platform


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    running = Platform(tmp_path_factory.mktemp("journeys") / "data")
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def own_platform(tmp_path: Path) -> Iterator[Platform]:
    """One that the test starts, and may break."""
    mine = Platform(tmp_path / "data")
    try:
        yield mine
    finally:
        mine.stop()


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=httpx.Timeout(60.0)) as made:
        yield made
