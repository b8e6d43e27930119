"""Where counters stand in Redis: ``rate_limit:{tenant}:{route}:{minute|hour}:{n}``, n being Unix time by the window.

Under ``rate_limit_aside:`` and the same stands how much of that was counted by others than the owner, while it was
silent.
"""

from typing import NamedTuple

PREFIX = "rate_limit:"
ASIDE_PREFIX = "rate_limit_aside:"


class Pair(NamedTuple):
    """What is counted apart: a tenant on a route."""

    tenant: str
    route: str


def minute_key(pair: Pair, number: int) -> str:
    """The key of a minute."""
    return f"{PREFIX}{pair.tenant}:{pair.route}:minute:{number}"


def hour_key(pair: Pair, number: int) -> str:
    """The key of an hour."""
    return f"{PREFIX}{pair.tenant}:{pair.route}:hour:{number}"


def aside_key(key: str) -> str:
    """The key of what others have counted, beside the key of all."""
    return ASIDE_PREFIX + key.removeprefix(PREFIX)
