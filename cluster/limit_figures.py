"""The figures of the rate limiters, added up for who looks at all of them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

_SUMS: Final = ("checks", "admitted", "refused", "tenants", "counters", "unwritten")
_TOP_TENANTS: Final = 10


def limit_totals(limiters: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Add up the figures of all limiters.

    Args:
        limiters: by number, as ``RateLimiterHandle.statistics`` gives them; those that do not answer are missing.

    Returns:
        Since each actor's start: ``checks``, and of those that took something ``admitted`` and ``refused``. Now:
        ``tenants``, ``counters`` and those that are ``unwritten``; ``redis`` trips by what became of them; and as
        ``tenants_top`` the windows, by route, of the tenants that have used most in this hour.
    """
    redis: Counter[str] = Counter()
    top: dict[str, Any] = {}
    for figures in limiters.values():
        redis.update(figures["redis"])
        top.update(figures["top"])
    busiest = sorted(top, key=lambda tenant: (-_used(top[tenant]), tenant))[:_TOP_TENANTS]
    return {
        **{name: sum(figures[name] for figures in limiters.values()) for name in _SUMS},
        "redis": dict(redis),
        "tenants_top": {tenant: top[tenant] for tenant in busiest},
    }


def _used(routes: Mapping[str, Mapping[str, Any]]) -> int:
    return sum(windows["hour"]["used"] for windows in routes.values())
