"""Who watches the chains, and its figures."""

from typing import Protocol

from telemetry.metrics import Counter, Latency


class GatewayObserver(Protocol):
    """Watches the chains. What it raises is logged, and the request goes on."""

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request got its answer; the time is from the request's head to the whole answer."""

    def refused(self, route: str, plugin: str, status: int, *, enforced: bool) -> None:
        """A plugin refused a request, or would have if it were not in shadow."""


class GatewayMetrics:
    """Counts."""

    def __init__(self) -> None:
        self._answered = Latency(
            "spaza_gateway_request_ms", "Time from a request's head to its answer.", ("route", "status")
        )
        self._refused = Counter(
            "spaza_gateway_refused_total",
            "Requests that a plugin refused, and those that it let pass in shadow.",
            ("route", "plugin", "status", "mode"),
        )

    def answered(self, route: str, status: int, seconds: float) -> None:
        """The histogram counts as well."""
        self._answered.observe_s(seconds, {"route": route, "status": str(status)})

    def refused(self, route: str, plugin: str, status: int, *, enforced: bool) -> None:
        """Count it."""
        mode = "enforce" if enforced else "shadow"
        self._refused.add(1, {"route": route, "plugin": plugin, "status": str(status), "mode": mode})
