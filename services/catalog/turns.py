"""Long work in short turns, so that others are served between them, and its deadline is seen."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from time import perf_counter
from typing import Final, TypeVar

# Of one turn; a request that only passes through takes a tenth of it.
_TURN_S: Final = 0.01
_Item = TypeVar("_Item")


async def in_turns(items: Iterable[_Item]) -> AsyncIterator[_Item]:
    """The items, for who works on each of them; others have a turn after each hundredth of a second."""
    begun = perf_counter()
    for item in items:
        if perf_counter() - begun > _TURN_S:
            await asyncio.sleep(0)
            begun = perf_counter()
        yield item
