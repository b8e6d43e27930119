"""A tenant's own limits: the more special wins, and what is changed of them."""

from typing import Any

import pytest

from actors.rate_limiter.decision import Limits
from actors.rate_limiter.own_limits import OwnLimits, RouteLimits

ROUTES = Limits(100, 5000)
OWN = OwnLimits(50, None, (RouteLimits("orders", None, 7), RouteLimits("products", 20, 30)))


@pytest.mark.parametrize(
    ("own", "route", "limits"),
    [
        (OwnLimits(), "products", (100, 5000)),
        (OwnLimits(50), "products", (50, 5000)),
        (OWN, "products", (20, 30)),
        (OWN, "orders", (50, 7)),
        (OWN, "payments", (50, 5000)),
    ],
)
def test_the_more_special_wins_each_window_by_itself(own: OwnLimits, route: str, limits: tuple[int, int]) -> None:
    assert own.on(route, ROUTES) == limits


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        ({}, OWN),
        ({"minute": 5}, OWN._replace(minute=5)),
        ({"minute": None, "hour": 9}, OWN._replace(minute=None, hour=9)),
        ({"routes": {}}, OWN),
        ({"routes": None}, OwnLimits(50)),
        ({"minute": None, "hour": None, "routes": None}, OwnLimits()),
        ({"routes": {"orders": None}}, OWN._replace(routes=OWN.routes[1:])),
        ({"routes": {"unknown": None}}, OWN),
        ({"routes": {"orders": {"hour": None}}}, OWN._replace(routes=OWN.routes[1:])),
        ({"routes": {"orders": {"minute": 3}}}, OWN._replace(routes=(RouteLimits("orders", 3, 7), OWN.routes[1]))),
        ({"routes": {"payments": {"hour": 1}}}, OWN._replace(
            routes=(OWN.routes[0], RouteLimits("payments", None, 1), OWN.routes[1])
        )),
        ({"routes": {"payments": {}}}, OWN),
    ],
)  # fmt: skip
def test_what_is_named_changes_and_null_goes_back(asked: dict[str, Any], made: OwnLimits) -> None:
    changed = OWN.changed(asked)

    assert changed == made
    assert OwnLimits.of(changed.minute, changed.hour, changed.kept()) == made


@pytest.mark.parametrize(
    ("own", "places"),
    [
        (OwnLimits(5, 5, (RouteLimits("orders", 1, 1),)), ()),
        (OwnLimits(5, None, (RouteLimits("orders", None, 3),)), ()),
        (OwnLimits(5, 3), ("",)),
        (OwnLimits(5, 6, (RouteLimits("orders", 2, 1), RouteLimits("products", 1, 2))), ("orders",)),
    ],
)
def test_a_minute_above_an_hour_of_the_same_place_is_a_contradiction(own: OwnLimits, places: tuple[str, ...]) -> None:
    assert own.contradictions() == places
