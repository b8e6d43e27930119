"""Usage as it is answered."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WindowUsage(_Schema):
    """One window of the clock.

    Attributes:
        limit: requests that pass in it; on the route of WhatsApp, messages.
        resets_at: when the next one begins.
    """

    limit: int
    used: int
    remaining: int
    resets_at: datetime


class RouteUsage(_Schema):
    """A tenant on one route."""

    route: str
    path: str
    minute: WindowUsage
    hour: WindowUsage


class Usage(_Schema):
    """A tenant on all routes that have limits."""

    routes: tuple[RouteUsage, ...]


class UsageQuery(_Schema):
    """Nothing can be chosen."""
