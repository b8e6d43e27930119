"""A receiver of webhooks for each test that asks for one."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.sandbox.sandbox_process import Receiver, receiving


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made
