"""Other processes that ask the rate limiters."""

import asyncio

from actors.rate_limiter.handle import RateLimiterHandle
from actors.rate_limiter.ledger import Check


async def admitted(handle: RateLimiterHandle, check: Check, calls: int, *, timeout_s: float = 120.0) -> int:
    """How many of so many calls at once pass."""
    decisions = await asyncio.gather(*(handle.check(check, timeout_s=timeout_s) for _ in range(calls)))
    return sum(decision.admitted for decision in decisions)


class Caller:
    """An actor that asks."""

    def __init__(self, limiters: int) -> None:
        self._handle = RateLimiterHandle(limiters)

    async def admitted(self, check: Check, calls: int) -> int:
        return await admitted(self._handle, check, calls)
