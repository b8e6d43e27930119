"""A tenant's usage, as it is answered behind jwt-auth."""

from collections.abc import Sequence
from typing import Any

from actors.rate_limiter.decision import Decision, Limits, Resets, decided
from actors.rate_limiter.errors import LimiterUnavailableError
from actors.rate_limiter.ledger import Check
from actors.rate_limiter.own_limits import OwnLimits, RouteLimits
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
            "usage": {"rate-limiting": RateLimitingOptions(minute=60, hour=90, whatever_own=True)},
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


def chain(limiter: KnowsUsage, *, timeout_s: float = 30.0, **own: Any) -> ASGIApp:
    credentials = FakeCredentials(credential("k1", **own))
    api = usage_api(limiter, limited_routes(ROUTES, Limits(100, 5000)), clock=lambda: NOW)
    options = JwtAuthOptions(claims_to_verify=("tenant_id",))
    return chained(api, route({"jwt-auth": options}, timeout_s=timeout_s), Parts(Watch(), credentials=credentials))


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
                "hour": {"limit": hour, "used": 30, "remaining": hour - 30, "resets_at": "2027-01-15T08:59:10Z"},
            }
            for name, minute, hour in (("products", 100, 50), ("orders", 7, 50), ("usage", 60, 90))
        ]
    }


async def test_what_a_tenant_has_on_each_route_leaves_usage_alone_and_what_it_has_there_does_not() -> None:
    for own, minute in ((OwnLimits(1, 1), 60), (OwnLimits(1, 1, (RouteLimits("usage", 9),)), 9)):
        answer = await answered(chain(KnowsUsage(), limits=own), headers=bearer(token()))
        limits = {one["route"]: one["minute"]["limit"] for one in answer.json()["routes"]}
        assert limits == {"products": 1, "orders": 1, "usage": minute}


async def test_an_owner_is_not_asked_for_an_answer_that_cannot_come_in_time() -> None:
    limiter = KnowsUsage()

    answer = await answered(chain(limiter, timeout_s=0.004), headers=bearer(token()))

    assert (answer.status, limiter.checks) == (504, [])


async def test_to_look_takes_nothing_and_asks_about_the_caller_alone() -> None:
    limiter = KnowsUsage()

    await answered(chain(limiter), headers=bearer(token()))

    assert {(check.tenant, check.cost) for check in limiter.checks} == {(TENANT, 0)}


async def test_a_parameter_that_would_do_nothing_is_refused_by_its_name() -> None:
    answer = await answered(chain(KnowsUsage()), headers=bearer(token()), query="x=1")

    assert (answer.status, [one["field"] for one in answer.json()["errors"]]) == (400, ["x"])


async def test_who_says_nothing_of_itself_sees_nothing() -> None:
    limiter = KnowsUsage()

    assert (await answered(chain(limiter))).status == 401
    assert limiter.checks == []


async def test_while_the_owner_cannot_be_asked_it_is_a_503() -> None:
    limiter = KnowsUsage()
    limiter.error = LimiterUnavailableError("rate_limiter:0", "gone")

    answer = await answered(chain(limiter), headers=bearer(token()))

    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
