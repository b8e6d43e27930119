"""What must stand in front of the routes that Spaza serves. Pure; each rule yields its faults, with the remedy.

Who takes a plugin out of a route by mistake is not to open it to everybody.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from config.plugins import HmacAuthOptions, PolicyOptions, RateLimitingOptions
from config.routes import Route, Routes

JWT, HMAC, ADMIN = "jwt-auth", "hmac-auth", "admin-auth"
_LIMITS: Final = "rate-limiting"


class Guard(NamedTuple):
    """What a route must have, and what would happen without it."""

    plugin: str
    without: str


_MERCHANTS: Final = Guard(JWT, "nobody would say whose data is asked for")
_OPERATORS: Final = Guard(ADMIN, "everybody could operate the platform")
# By name, under which the composition root serves them.
GUARDS: Final[Mapping[str, Guard]] = {
    "whatsapp": Guard(HMAC, "messages would be taken that Meta has not signed"),
    "products": _MERCHANTS,
    "orders": _MERCHANTS,
    "payments": _MERCHANTS,
    "usage": _MERCHANTS,
    "tenants": _OPERATORS,
    "mailboxes": _OPERATORS,
}


def faults_of(route: Route) -> Iterator[str]:
    """What is wrong with a route's plugins together."""
    guard = GUARDS.get(route.name)
    if guard is not None and guard.plugin not in route.plugins:
        yield f"{guard.plugin} is missing, without which {guard.without}; add {guard.plugin}"
        return
    if HMAC in route.plugins and "POST" not in route.options(HMAC, HmacAuthOptions()).methods:
        yield f"{HMAC} would let posts pass that nobody signed; add POST to its methods"
    # What Meta has signed is messages: those who send them do not call, and they can wait in a mailbox.
    if HMAC not in route.plugins:
        for needed in needed_by_limits(route):
            yield f"{_LIMITS} needs {needed}; write that, or take {_LIMITS} out"


def needed_by_limits(route: Route) -> Iterator[str]:
    """What the route lacks of what limits of those who call it stand on, and why; nothing where it has no limits."""
    if _LIMITS not in route.plugins:
        return
    if JWT not in route.plugins:
        yield f"{JWT}, for nobody else says who calls"
    if route.options(_LIMITS, RateLimitingOptions()).on_limit == "defer":
        yield "on_limit: reject, for only messages can wait in a mailbox"


def open_in_shadow(routes: Routes) -> tuple[str, ...]:
    """A sentence for each route whose guard lets everybody pass."""
    return tuple(
        f"Route {route.name} is open: its {guard.plugin} is in shadow, and {guard.without}."
        for route in routes.routes.values()
        if (guard := GUARDS.get(route.name)) is not None
        and isinstance(options := route.plugins.get(guard.plugin), PolicyOptions)
        and options.mode == "shadow"
    )
