"""The limiter as the plugin rate-limiting asks it. The rate limiters' handle fits as it is."""

from typing import Protocol

from actors.rate_limiter.decision import Decision, Limits


class Limiter(Protocol):
    """Decides whether requests pass."""

    async def check(self, tenant_id: str, route: str, cost: int, *, limits: Limits, timeout_s: float) -> Decision:
        """Take so many requests from every window, or from none of them.

        Raises:
            SpazaError: it cannot be decided now.
        """
