"""A tenant's own limits: for every route, and for single ones. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

from actors.rate_limiter.decision import Limits

_Windows = tuple[int | None, int | None]
_NEITHER: _Windows = (None, None)


class RouteLimits(NamedTuple):
    """What a tenant has of its own on one route; None where it has nothing."""

    route: str
    minute: int | None = None
    hour: int | None = None


class OwnLimits(NamedTuple):
    """All that a tenant has of its own; the more special wins, each window by itself.

    Attributes:
        minute: on every route; None for the route's.
        hour: likewise.
        routes: on single ones, in the order of their names.
    """

    minute: int | None = None
    hour: int | None = None
    routes: tuple[RouteLimits, ...] = ()

    @classmethod
    def of(cls, minute: int | None, hour: int | None, routes: Mapping[str, Iterable[int | None]]) -> Self:
        """From what is kept: by route, its minute and hour."""
        return cls(minute, hour, tuple(RouteLimits(route, *windows) for route, windows in sorted(dict(routes).items())))

    def kept(self) -> dict[str, _Windows]:
        """By route, its minute and hour."""
        return {one.route: (one.minute, one.hour) for one in self.routes}

    def on(self, route: str, limits: Limits, *, alone: bool = False) -> Limits:
        """The limits that hold on a route.

        Args:
            route: its name.
            limits: of tenants that have none of their own.
            alone: whether only what is for this route alone wins over these.
        """
        if not alone:
            limits = limits.with_own(self.minute, self.hour)
        for one in self.routes:
            if one.route == route:
                return limits.with_own(one.minute, one.hour)
        return limits

    def changed(self, asked: Mapping[str, Any]) -> "OwnLimits":
        """With what is asked for in its place.

        Args:
            asked: ``minute``, ``hour``, and ``routes``: by name, the ``minute`` and ``hour`` there. What is not named
                stays. None goes back to what holds otherwise: for a window, for a route, and for all routes.
        """
        named: Mapping[str, Any] | None = asked.get("routes", {})
        routes = {} if named is None else self.kept()
        for route, windows in (named or {}).items():
            minute, hour = routes.pop(route, _NEITHER)
            made = _NEITHER if windows is None else (windows.get("minute", minute), windows.get("hour", hour))
            if made != _NEITHER:
                routes[route] = made
        return OwnLimits.of(asked.get("minute", self.minute), asked.get("hour", self.hour), routes)

    def contradictions(self) -> tuple[str, ...]:
        """Where a minute of these stands beside an hour that is less: the route's name, or an empty one for all routes.

        Windows from different places, such as an hour for one route under a minute for all, are somebody's wish.
        """
        places = (RouteLimits("", self.minute, self.hour), *self.routes)
        return tuple(
            one.route for one in places if one.minute is not None and one.hour is not None and one.minute > one.hour
        )

    def document(self) -> dict[str, Any]:
        """For who reads it."""
        routes = {one.route: {"minute": one.minute, "hour": one.hour} for one in self.routes}
        return {"minute": self.minute, "hour": self.hour, "routes": routes}
