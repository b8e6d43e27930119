"""The limiter as the plugin rate-limiting asks it. The rate limiters' handle fits as it is."""

from typing import Protocol

from actors.rate_limiter.decision import Decision
from actors.rate_limiter.ledger import Check


class Limiter(Protocol):
    """Decides whether requests pass."""

    async def check(self, check: Check, *, timeout_s: float) -> Decision:
        """Take what is asked for from both windows, or from none of them.

        Raises:
            SpazaError: it cannot be decided now.
        """


class Aside(Protocol):
    """Decides while the limiter cannot; ``CountedAside``."""

    async def check(self, check: Check) -> Decision | None:
        """Take as above, by what the limiter has written down; None while that cannot be asked."""
