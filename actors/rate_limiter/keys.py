"""Where counters stand in Redis: ``rate_limit:{tenant}:{route}:{minute|hour}:{n}``, n being Unix time by the window."""

from typing import NamedTuple

PREFIX = "rate_limit:"


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
