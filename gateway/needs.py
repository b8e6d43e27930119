"""What plugins stand on, so that a route which lacks it fails where it is wired, not in its replicas. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

from config.route_rules import needed_by_limits
from config.routes import Route
from gateway.errors import UnbuiltChainError


class Given(NamedTuple):
    """What is, or will be, given to a route's chain; as ``Parts`` has it."""

    operations: bool = False
    limiter: bool = False
    counts_messages: bool = False
    credentials: bool = False
    app_secrets: bool = False
    admin_token: bool = False


def demand(route: Route, given: Given) -> None:
    """See to it that each of a route's plugins has what it stands on.

    Raises:
        UnbuiltChainError: one does not; better not served than served without it.
    """
    for plugin in route.plugins:
        for missing in _missing(plugin, route, given):
            raise UnbuiltChainError(route.name, plugin, missing)


def _missing(plugin: str, route: Route, given: Given) -> Iterator[str]:
    if plugin == "jwt-auth" and not given.credentials:
        yield "credentials"
    elif plugin == "admin-auth" and not given.admin_token:
        yield "the admin token"
    elif plugin == "hmac-auth" and not given.app_secrets:
        yield "app secrets"
    elif plugin == "request-validator" and not given.operations:
        yield "operations"
    elif plugin == "rate-limiting" and not given.counts_messages:
        if not given.limiter:
            yield "a limiter"
        yield from needed_by_limits(route)
