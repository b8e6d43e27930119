"""Who did what: what an admin API records of its actions. The composition root says where."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol


class Who(NamedTuple):
    """An operator, as he calls himself, and where he called from."""

    operator: str
    peer: str


class Actions(Protocol):
    """The record of actions."""

    async def begin(self, who: Who, action: str, queue: str, request: Mapping[str, Any], *, must: bool) -> str:
        """Record that an action on something begins, and return its id; raises where it must be and cannot."""

    async def end(self, action_id: str, action: str, queue: str, outcome: Mapping[str, Any]) -> None:
        """Record how it ended."""
