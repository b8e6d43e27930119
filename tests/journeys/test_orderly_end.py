"""Ctrl-C waits for what is being sent: nothing is in doubt at the next start, and everything is delivered again."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.journeys.platform import STOP_LIMIT_S, Platform, deliver, replies_to, text_message

_OPERATOR = {"Authorization": "Bearer sandbox-admin-token"}
_SENDING_MS = 3_000


def _notifications(platform: Platform) -> dict[str, Any]:
    figures: dict[str, Any] = platform.status()["figures"]["mailboxes"]["notifications.whatsapp"]
    return figures


async def _is_being_sent(client: httpx.AsyncClient, platform: Platform) -> bool:
    answer = await client.get(f"{platform.api}/api/v1/mailboxes", headers=_OPERATOR)
    queues = {one["queue"]: one for one in answer.raise_for_status().json()["queues"]}
    return bool(queues["notifications.whatsapp"]["in_flight"])


@pytest.mark.timeout(2400)
async def test_what_is_being_sent_is_settled_before_the_end_and_the_queues_go_on_after_it(
    own_platform: Platform, client: httpx.AsyncClient
) -> None:
    platform = own_platform
    await asyncio.to_thread(platform.start)
    await client.put(f"{platform.sandbox}/sandbox/knobs", json={"answer_delay_ms": _SENDING_MS})
    await deliver(client, platform.webhook, text_message("27821110001", "Hi", "wamid.END1"))
    async with asyncio.timeout(120):
        while not await _is_being_sent(client, platform):
            pass

    took_s = await asyncio.to_thread(platform.stop)
    await asyncio.to_thread(platform.start)

    assert took_s < STOP_LIMIT_S
    # In doubt it would wait for 30 s.
    notifications = await asyncio.to_thread(_notifications, platform)
    assert (notifications["waiting"], notifications["paused"]) == (0, False)
    await deliver(client, platform.webhook, text_message("27821110002", "Hi", "wamid.END2"))
    had = await replies_to(client, platform.sandbox, ["27821110002"], limit_s=120)
    assert [len(messages) for messages in had.values()] == [1]
