"""What a node says of itself: its parts, and the figures that its actors keep."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ray import serve

from actors.shards.placement import SHARDS
from cluster.limit_figures import limit_totals
from cluster.ports import reached_at
from cluster.shard_figures import totals
from kernel.errors import SpazaError
from serve_app import Spaza
from services.ops.application_health import application_faults, running_replicas
from services.ops.mailbox_health import mailbox_faults
from services.ops.shard_health import in_words, silent_shards

_LIMIT_S, _PROBE_S = 3.0, 2.0


class NodeStatus:
    """Asks the actors and Serve each time it is asked; what does not answer in time is said to be missing."""

    def __init__(self, spaza: Spaza) -> None:
        self._shards, self._mailbox, self._http = spaza.shards(), spaza.mailbox(), spaza.settings.http
        self._rate_limiters, self._limiters = spaza.rate_limiters(), spaza.settings.limits.limiters
        self._consumed = spaza.consumed
        self._per_actor = spaza.settings.postgres.shards_per_actor

    async def document(self) -> dict[str, Any]:
        """Parts with ``name``, ``state`` (``running`` or what is wrong) and ``detail``, and the figures."""
        shards, silent, mailboxes, limiters, applications, answered = await asyncio.gather(
            self._shard_figures(),
            silent_shards(self._shards, _PROBE_S),
            self._mailbox_figures(),
            self._rate_limiters.statistics(),
            self._applications(),
            self._answers(),
        )
        faults = mailbox_faults(mailboxes, consumed=self._consumed)
        whole = f"{len(mailboxes)} queues owned, {len(self._consumed)} consumed"
        parts = [
            _part("Shard pools", not silent, f"{SHARDS - len(silent)} of {SHARDS} shards answer{_but(silent)}"),
            _part(
                "Mailboxes",
                not faults,
                "; ".join(faults) or whole,
            ),
            _part(
                "Rate limiters", len(limiters) == self._limiters, f"{len(limiters)} of {self._limiters} actors answer"
            ),
            *applications,
            _part("API", answered, f"http://{reached_at(self._http.host)}:{self._http.port}"),
        ]
        figures = {
            "mailboxes": mailboxes,
            "shards": totals(shards, self._per_actor),
            "rate_limits": limit_totals(limiters),
        }
        return {"parts": parts, "figures": figures}

    async def _shard_figures(self) -> Mapping[int, Mapping[str, Any]]:
        return await self._shards.statistics()

    async def _mailbox_figures(self) -> Mapping[str, Mapping[str, Any]]:
        try:
            return await asyncio.wait_for(self._mailbox.statistics(), _LIMIT_S)
        except (SpazaError, TimeoutError):
            return {}

    async def _answers(self) -> bool:
        return await webhook_answers(self._http.host, self._http.port)

    async def _applications(self) -> list[dict[str, str]]:
        try:
            status = await asyncio.wait_for(asyncio.to_thread(serve.status), _LIMIT_S)
        except Exception as error:  # noqa: BLE001 - Serve's controller may be gone in many ways; that is the answer
            return [_part("Serve", False, f"does not answer: {type(error).__name__}")]
        parts = []
        for name, application in status.applications.items():
            replicas = [f"{deployment} x{running_replicas(one)}" for deployment, one in application.deployments.items()]
            faults = application_faults({name: application}, ())
            parts.append(_part(name, not faults, "; ".join(faults) or ", ".join(replicas)))
        return parts


async def webhook_answers(host: str, port: int) -> bool:
    """Whether a request comes through HAProxy to a replica of the webhook, which Serve's own word does not promise."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_LIMIT_S):
            reader, writer = await asyncio.open_connection(reached_at(host).strip("[]"), port)
            try:
                writer.write(b"GET /api/v1/webhooks/whatsapp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                # A handshake without a token is refused, by the webhook itself.
                return b" 403 " in await reader.readline()
            finally:
                writer.close()
    return False


def _but(silent: Mapping[int, str]) -> str:
    return f"; {in_words(silent)}" if silent else ""


def _part(name: str, runs: bool, detail: str) -> dict[str, str]:
    return {"name": name, "state": "running" if runs else "failed", "detail": detail}
