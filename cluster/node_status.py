"""What a node says of itself: its parts, and the figures that its actors keep."""

import asyncio
from collections.abc import Mapping
from typing import Any

from ray import serve

from actors.mailbox.errors import JournalUnavailableError
from kernel.errors import SpazaError
from serve_app import Spaza

_LIMIT_S = 3.0


class NodeStatus:
    """Asks the actors and Serve each time it is asked; what does not answer in time is said to be missing."""

    def __init__(self, spaza: Spaza) -> None:
        self._shards, self._mailbox = spaza.shards(), spaza.mailbox()

    async def document(self) -> dict[str, Any]:
        """Parts with ``name``, ``state`` (``running`` or what is wrong) and ``detail``, and the figures."""
        shards, mailboxes, applications = await asyncio.gather(
            self._shard_figures(), self._mailbox_figures(), self._applications()
        )
        parts = [
            _part("Shard pools", len(shards) == 32, f"{len(shards)} of 32 shards answer"),
            _part("Mailboxes", bool(mailboxes), f"{len(mailboxes)} queues answer"),
            *applications,
        ]
        return {"parts": parts, "figures": {"mailboxes": mailboxes, "shards": _summed(shards)}}

    async def _shard_figures(self) -> Mapping[int, Mapping[str, Any]]:
        return await self._shards.statistics()

    async def _mailbox_figures(self) -> Mapping[str, Mapping[str, Any]]:
        try:
            return await asyncio.wait_for(self._mailbox.statistics(), _LIMIT_S)
        except (SpazaError, TimeoutError, JournalUnavailableError):
            return {}

    async def _applications(self) -> list[dict[str, str]]:
        try:
            status = await asyncio.wait_for(asyncio.to_thread(serve.status), _LIMIT_S)
        except Exception as error:  # noqa: BLE001 - Serve's controller may be gone in many ways; that is the answer
            return [_part("Serve", False, f"does not answer: {type(error).__name__}")]
        parts = []
        for name, application in status.applications.items():
            replicas = [
                f"{deployment} x{sum(one.replica_states.values())}"
                for deployment, one in application.deployments.items()
            ]
            parts.append(_part(name, application.status == "RUNNING", ", ".join(replicas) or application.message))
        return parts


def _part(name: str, runs: bool, detail: str) -> dict[str, str]:
    return {"name": name, "state": "running" if runs else "failed", "detail": detail}


def _summed(shards: Mapping[int, Mapping[str, Any]]) -> dict[str, int | float]:
    total: dict[str, int | float] = {}
    for figures in shards.values():
        for name, value in figures.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                total[name] = total.get(name, 0) + value
    return total
