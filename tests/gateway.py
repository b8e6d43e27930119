"""Chains in tests: an application behind the plugins of a declared route, with an observer that remembers."""

from config.routes_file import load_routes
from gateway.asgi import ASGIApp
from gateway.chain import Parts, chained
from gateway.operations import Operation


class Watch:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, int]] = []
        self.refusals: list[tuple[str, str, int, bool]] = []

    def answered(self, route: str, status: int, seconds: float) -> None:
        self.answers.append((route, status))

    def refused(self, route: str, plugin: str, status: int, *, enforced: bool) -> None:
        self.refusals.append((route, plugin, status, enforced))


OPERATOR_TOKEN = "t" * 32
OPERATORS = Parts(Watch(), admin_token=OPERATOR_TOKEN.encode())


def behind(route: str, app: ASGIApp, parts: Parts | None = None, operations: tuple[Operation, ...] = ()) -> ASGIApp:
    """The application as it is served behind a route of ``routes.yaml``."""
    return chained(app, load_routes().routes[route], Parts(Watch()) if parts is None else parts, operations)
