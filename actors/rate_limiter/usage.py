"""Usage as it is told to tenants and operators: limit, used, remaining, and when the window ends. Pure."""

from datetime import UTC, datetime
from typing import Any

from actors.rate_limiter.decision import Decision, WindowState


def usage_document(decision: Decision, wall: float) -> dict[str, Any]:
    """Both windows of one tenant on one route.

    Args:
        decision: of a check, such as one that costs nothing.
        wall: Unix seconds, now.
    """
    return {"minute": window_document(decision.minute, wall), "hour": window_document(decision.hour, wall)}


def window_document(window: WindowState, wall: float) -> dict[str, Any]:
    """One window; ``resets_at`` in RFC 3339, to the nearest second, for what is told is a moment old."""
    resets_at = datetime.fromtimestamp(round(wall + window.resets_in_s), UTC)
    return {
        "limit": window.limit,
        "used": window.used,
        "remaining": window.remaining,
        "resets_at": resets_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
