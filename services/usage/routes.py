"""``GET /api/v1/usage``: asks the tenant's owner without taking anything of what it shows but its own route's."""

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from actors.rate_limiter.decision import Decision
from actors.rate_limiter.ledger import Check
from actors.rate_limiter.usage import usage_document
from actors.rate_limiter.way import CHECK_S
from gateway.api import Api, Endpoint
from gateway.context import RequestContext
from gateway.limited_routes import LimitedRoute
from gateway.operations import Call, Operation
from services.usage.schemas import Usage, UsageQuery

USAGE_SERVICE: Final = "usage-service"
# Under which an owner is not asked; an answer takes some 2 ms.
_LEAST_S: Final = 0.005
READ_USAGE: Final = Operation(
    "GET", "/", "What is used and left of the limits, by route.", query=UsageQuery, answers={200: Usage}
)


class UsageLimiter(Protocol):
    """Knows what is used."""

    async def check_all(self, checks: Sequence[Check], *, timeout_s: float) -> Sequence[Decision]:
        """A decision for each check, in order.

        Raises:
            RateLimiterError: it cannot be asked now.
        """


def usage_api(limiter: UsageLimiter, routes: Sequence[LimitedRoute], clock: Callable[[], float] = time.time) -> Api:
    """The API, to be put behind jwt-auth.

    Args:
        limiter: is asked.
        routes: that have limits.
        clock: seconds since 1970.
    """

    async def read(_call: Call, context: RequestContext) -> Usage:
        known = context.known
        checks = [
            Check(
                known.tenant_id,
                one.name,
                known.limits.on(one.name, one.limits, alone=one.alone),
                0,
                correlation_id=context.correlation_id,
            )
            for one in routes
        ]
        decisions = await limiter.check_all(checks, timeout_s=context.remaining_s(CHECK_S, least=_LEAST_S))
        now = clock()
        return Usage.model_validate(
            {
                "routes": [
                    {"route": route.name, "path": route.path, **usage_document(decision, now)}
                    for route, decision in zip(routes, decisions, strict=True)
                ]
            }
        )

    return Api([Endpoint(READ_USAGE, read)])
