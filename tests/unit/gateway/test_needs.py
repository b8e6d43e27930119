"""That a route which lacks something fails where it is wired, before there is a replica."""

import pytest

from actors.rate_limiter.decision import Limits
from config.plugins import (
    AdminAuthOptions,
    HmacAuthOptions,
    JwtAuthOptions,
    Options,
    RateLimitingOptions,
    RequestValidatorOptions,
)
from config.routes import RoutesError
from config.routes_file import load_routes
from gateway.errors import UnbuiltChainError
from gateway.limited_routes import limits_of
from gateway.needs import Given, demand
from services.catalog.wiring import products_application
from tests.unit.gateway.bench import route

ALL = Given(operations=True, limiter=True, counts_messages=False, credentials=True, app_secrets=True, admin_token=True)
PLUGINS: dict[str, Options] = {
    "jwt-auth": JwtAuthOptions(), "admin-auth": AdminAuthOptions(), "hmac-auth": HmacAuthOptions(),
    "request-validator": RequestValidatorOptions(), "rate-limiting": RateLimitingOptions(),
}  # fmt: skip


def test_what_has_all_that_it_stands_on_is_served() -> None:
    demand(route(PLUGINS), ALL)


@pytest.mark.parametrize(
    ("part", "plugin"),
    [
        ("operations", "request-validator"),
        ("limiter", "rate-limiting"),
        ("credentials", "jwt-auth"),
        ("app_secrets", "hmac-auth"),
        ("admin_token", "admin-auth"),
    ],
)
def test_what_lacks_a_part_is_not(part: str, plugin: str) -> None:
    with pytest.raises(UnbuiltChainError, match=f"route things has {plugin}, which needs"):
        demand(route(PLUGINS), ALL._replace(**{part: False}))


def test_limits_want_somebody_who_says_who_calls_unless_messages_are_counted() -> None:
    limited = route({"rate-limiting": RateLimitingOptions()})

    with pytest.raises(UnbuiltChainError, match="jwt-auth, for nobody else says who calls"):
        demand(limited, ALL)
    demand(limited, ALL._replace(counts_messages=True, limiter=False))


def test_products_that_would_wait_in_a_mailbox_fail_where_they_are_wired() -> None:
    products = load_routes().routes["products"]
    plugins = {**products.plugins, "rate-limiting": RateLimitingOptions(on_limit="defer")}

    def never() -> None:
        raise AssertionError

    with pytest.raises(UnbuiltChainError, match="only messages can wait in a mailbox"):
        products_application(
            products.model_copy(update={"plugins": plugins}),
            shards=never,  # type: ignore[arg-type]  # is not called
            parts=never,  # type: ignore[arg-type]  # neither
        )


@pytest.mark.parametrize(("minute", "hour"), [(5_001, None), (6_000, None)])
def test_a_minute_of_a_routes_own_above_the_platforms_hour_is_refused(minute: int, hour: int | None) -> None:
    with pytest.raises(RoutesError, match=r"routes\.things\.rate-limiting: minute is"):
        limits_of(route({"rate-limiting": RateLimitingOptions(minute=minute, hour=hour)}), Limits(100, 5_000))


def test_a_platforms_hour_below_its_minute_is_somebodys_wish() -> None:
    assert limits_of(route({"rate-limiting": RateLimitingOptions()}), Limits(100, 50)) == Limits(100, 50)


def test_an_hour_of_a_routes_own_under_the_platforms_minute_is_refused() -> None:
    with pytest.raises(RoutesError, match=r"routes\.things\.rate-limiting: hour is 50, and SPAZA_LIMITS__MINUTE 100"):
        limits_of(route({"rate-limiting": RateLimitingOptions(hour=50)}), Limits(100, 5_000))
