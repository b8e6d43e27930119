"""The limiter's figures as metrics, reported every few seconds and not for every check."""

from collections.abc import Mapping
from typing import Any, Final

from telemetry.metrics import Counter, Gauge

# Routes are declared, a dozen of them; should a caller make them up, the labels stay few.
_ROUTES: Final = 32
_OTHER: Final = "other"


class Figures:
    """Turns snapshots of one limiter into metrics. A tenant is never a label."""

    def __init__(self) -> None:
        self._checks = Counter("spaza_rate_limit_checks_total", "Checks by how they ended.", ("route", "outcome"))
        self._redis = Counter("spaza_rate_limit_redis_total", "Trips to Redis by what became of them.", ("event",))
        self._counters = Gauge("spaza_rate_limit_counters", "Counters in memory.", ("limiter",))
        self._unwritten = Gauge("spaza_rate_limit_unwritten", "Counters that Redis does not have yet.", ("limiter",))
        self._reported: dict[Any, int] = {}
        self._routes: set[str] = set()

    def report(self, limiter: int, snapshot: Mapping[str, Any], by_route: Mapping[tuple[str, str], int]) -> None:
        """Report a snapshot, and of what only grows what was added since the last."""
        for (route, outcome), total in by_route.items():
            added = self._added((route, outcome), total)
            self._checks.add(added, {"route": self._label(route), "outcome": outcome})
        for event, total in snapshot["redis"].items():
            self._redis.add(self._added(event, total), {"event": event})
        self._counters.set(snapshot["counters"], {"limiter": str(limiter)})
        self._unwritten.set(snapshot["unwritten"], {"limiter": str(limiter)})

    def _added(self, what: Any, total: int) -> int:
        added = total - self._reported.get(what, 0)
        self._reported[what] = total
        return added

    def _label(self, route: str) -> str:
        if route not in self._routes:
            if len(self._routes) >= _ROUTES:
                return _OTHER
            self._routes.add(route)
        return route
