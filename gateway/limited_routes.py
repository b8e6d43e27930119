"""Which routes have limits, and how much a tenant without limits of its own has there."""

from typing import Final, NamedTuple

from actors.rate_limiter.decision import Limits
from config.plugins import RateLimitingOptions
from config.routes import Route, Routes, RoutesError

PLUGIN: Final = "rate-limiting"


class LimitedRoute(NamedTuple):
    """A route and its limits.

    Attributes:
        alone: whether only what a tenant has of its own on this route alone wins over these.
    """

    name: str
    path: str
    limits: Limits
    alone: bool = False


def limits_of(route: Route, platform: Limits) -> Limits:
    """The limits of a route: its own, and where it has none the platform's.

    Raises:
        RoutesError: it has a minute or an hour of its own, and beside the platform's other one more would pass in the
            minute than in the hour.
    """
    options = route.options(PLUGIN, RateLimitingOptions())
    limits = platform.with_own(options.minute, options.hour)
    if options.minute is not None and limits.hour < options.minute:
        fault = f"minute is {options.minute}, and SPAZA_LIMITS__HOUR {limits.hour}, so that it would never be reached"
        raise RoutesError((f"routes.{route.name}.{PLUGIN}: {fault}; give the route an hour of its own too",))
    if options.hour is not None and options.minute is None and options.hour < platform.minute:
        fault = f"hour is {options.hour}, and SPAZA_LIMITS__MINUTE {platform.minute}, which would never be reached"
        raise RoutesError((f"routes.{route.name}.{PLUGIN}: {fault}; give the route a minute of its own too",))
    return limits


def limited_routes(routes: Routes, platform: Limits) -> tuple[LimitedRoute, ...]:
    """The routes with limits, in the order of the file."""
    return tuple(
        LimitedRoute(
            route.name,
            route.path,
            limits_of(route, platform),
            alone=route.options(PLUGIN, RateLimitingOptions()).whatever_own,
        )
        for route in routes.routes.values()
        if PLUGIN in route.plugins
    )
