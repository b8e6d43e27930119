"""A tenant's usage, as it is answered behind jwt-auth."""

from collections.abc import Sequence
from typing import Any

from actors.rate_limiter.decision import Decision, Limits, Resets, decided
from actors.rate_limiter.errors import LimiterUnavailableError
from actors.rate_limiter.ledger import Check
from actors.rate_limiter.own_limits import OwnLimits
from config.plugins import JwtAuthOptions, RateLimitingOptions
from config.routes import Route, Routes, Service
from gateway.asgi import ASGIApp
from gateway.chain import Parts, chained
from gateway.limited_routes import limited_routes
from services.usage.routes import usage_api
from tests.gateway import Watch
from tests.unit.gateway.bench import answered, route
from tests.unit.gateway.callers import NOW, TENANT, FakeCredentials, bearer, credential, token

ROUTES = Routes(
    services={"s": Service()},
    routes={
        name: Route(name=name, path=f"/api/v1/{name}", service="s", timeout_s=30.0, plugins=plugins)
        for name, plugins in {
            "products": {"rate-limiting": RateLimitingOptions()},
            "orders": {"rate-limiting": RateLimitingOptions(minute=7)},
            "front": {},
        }.items()
    },
)


class KnowsUsage:
    """Has counted 3 in the minute and 30 in the hour, of whatever it is asked about."""

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self.error: Exception | None = None

    async def check_all(self, checks: Sequence[Check], *, timeout_s: float) -> Sequence[Decision]:
        assert 0 < timeout_s <= 2.5
        if self.error is not None:
            raise self.error
        self.checks += checks
        return [decided(check.limits, 0, 0, (3, 30), Resets(10.0, 3550.0)) for check in checks]


def chain(limiter: KnowsUsage, **own: Any) -> ASGIApp:
    credentials = FakeCredentials(credential("k1", **own))
    api = usage_api(limiter, limited_routes(ROUTES, Limits(100, 5000)), clock=lambda: NOW)
    options = JwtAuthOptions(claims_to_verify=("tenant_id",))
    return chained(api, route({"jwt-auth": options}), Parts(Watch(), credentials=credentials))


async def test_a_tenant_sees_its_windows_on_every_route_with_limits() -> None:
    limiter = KnowsUsage()

    answer = await answered(chain(limiter, limits=OwnLimits(hour=50)), headers=bearer(token()))

    assert answer.status == 200
    assert answer.json() == {
        "routes": [
            {
                "route": name,
                "path": f"/api/v1/{name}",
                "minute": {"limit": minute, "used": 3, "remaining": minute - 3, "resets_at": "2027-01-15T08:00:10Z"},
                "hour": {"limit": 50, "used": 30, "remaining": 20, "resets_at": "2027-01-15T08:59:10Z"},
            }
            for name, minute in (("products", 100), ("orders", 7))
        ]
    }


async def test_to_look_takes_nothing_and_asks_about_the_caller_alone() -> None:
    limiter = KnowsUsage()

    await answered(chain(limiter), headers=bearer(token()))

    assert {(check.tenant, check.cost) for check in limiter.checks} == {(TENANT, 0)}


async def test_who_says_nothing_of_itself_sees_nothing() -> None:
    limiter = KnowsUsage()

    assert (await answered(chain(limiter))).status == 401
    assert limiter.checks == []


async def test_while_the_owner_cannot_be_asked_it_is_a_503() -> None:
    limiter = KnowsUsage()
    limiter.error = LimiterUnavailableError("rate_limiter:0", "gone")

    answer = await answered(chain(limiter), headers=bearer(token()))

    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
