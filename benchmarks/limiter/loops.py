"""Callers of a rate limiter: as fast as they are answered, or at a rate."""

import asyncio
import time
from itertools import count
from typing import Final

from actors.rate_limiter.decision import Limits
from actors.rate_limiter.handle import RateLimiterHandle
from actors.rate_limiter.ledger import Check
from kernel.identifiers import new_id

TENANTS: Final = 200
# None is refused, for a refusal is known without asking.
_LIMITS: Final = Limits(10**9, 10**9)
_CHECKS: Final = tuple(Check(new_id(), "products", _LIMITS) for _ in range(TENANTS))
_PATIENCE_S: Final = 30.0


async def warm(handle: RateLimiterHandle) -> None:
    """Have the owner know all tenants."""
    await handle.check_all(_CHECKS, timeout_s=_PATIENCE_S)


async def checks_per_s(handle: RateLimiterHandle, callers: int, seconds: float) -> float:
    """Closed loop: each caller asks again as soon as it is answered."""
    numbers = count()
    started = time.perf_counter()
    until = started + seconds

    async def call() -> None:
        while time.perf_counter() < until:
            decision = await handle.check(_CHECKS[next(numbers) % TENANTS], timeout_s=_PATIENCE_S)
            assert decision.is_allowed

    await asyncio.gather(*(call() for _ in range(callers)))
    return next(numbers) / (time.perf_counter() - started)


async def latencies_s(handle: RateLimiterHandle, per_s: float, seconds: float) -> list[float]:
    """Open loop: a check is due at even times, whatever became of those before; its time runs from when it is due."""
    loop = asyncio.get_running_loop()
    found: list[float] = []

    async def call(due: float, check: Check) -> None:
        await handle.check(check, timeout_s=_PATIENCE_S)
        found.append(loop.time() - due)

    start = loop.time()
    calls: set[asyncio.Task[None]] = set()
    for number in range(int(per_s * seconds)):
        due = start + number / per_s
        await asyncio.sleep(max(0.0, due - loop.time()))
        calls.add(loop.create_task(call(due, _CHECKS[number % TENANTS])))
    await asyncio.gather(*calls)
    return found
