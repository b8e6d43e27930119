"""Ctrl-C waits for what is being sent: nothing is in doubt at the next start, and everything is delivered again."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from tests.journeys.platform import STOP_LIMIT_S, Platform, deliver, replies_to, text_message

_OPERATOR = {"Authorization": "Bearer sandbox-admin-token"}
# Well below what the end of a node waits for its consumers.
_SENDING_MS = 1_500


def _notifications(platform: Platform) -> dict[str, Any]:
    """Its figures, once its owner tells them."""

    def of(status: dict[str, Any]) -> dict[str, Any]:
        return dict(status["figures"].get("mailboxes", {}).get("notifications.whatsapp", {}))

    return of(platform.becomes(lambda status: "waiting" in of(status)))


async def _is_being_sent(client: httpx.AsyncClient, platform: Platform) -> bool:
    answer = await client.get(f"{platform.api}/api/v1/mailboxes", headers=_OPERATOR)
    queues = {one["queue"]: one for one in answer.json().get("queues", ())}
    return bool(queues.get("notifications.whatsapp", {}).get("in_flight"))


async def _have_one_being_sent(client: httpx.AsyncClient, platform: Platform, turn: int) -> None:
    await client.put(f"{platform.sandbox}/sandbox/knobs", json={"answer_delay_ms": _SENDING_MS})
    for number in range(10):
        customer = f"27821110{turn}0{number}"
        await deliver(client, platform.webhook, text_message(customer, "Hi", f"wamid.{customer}"))
        # A busy machine may look too late, and then at the next one.
        if await _is_seen_being_sent(client, platform):
            return
    raise AssertionError("none was seen being sent")


async def _is_seen_being_sent(client: httpx.AsyncClient, platform: Platform) -> bool:
    deadline = time.monotonic() + 20.0
    while time.monotonic() < deadline:
        if await _is_being_sent(client, platform):
            return True
    return False


@pytest.mark.timeout(2400)
async def test_what_is_being_sent_is_settled_before_the_end_and_the_queues_go_on_after_it(
    own_platform: Platform, client: httpx.AsyncClient
) -> None:
    platform = own_platform
    await asyncio.to_thread(platform.start)
    for turn in range(3):
        await _have_one_being_sent(client, platform, turn)
        took_s = await asyncio.to_thread(platform.stop)
        await asyncio.to_thread(platform.start)
        notifications = await asyncio.to_thread(_notifications, platform)
        # The node of a busy machine may not have had the time that this takes.
        if notifications["waiting"] == 0:
            break
        await platform.settled(limit_s=300)

    assert took_s < STOP_LIMIT_S
    # In doubt it would wait for 30 s.
    assert (notifications["waiting"], notifications["paused"]) == (0, False)
    await deliver(client, platform.webhook, text_message("27821119999", "Hi", "wamid.END"))
    had = await replies_to(client, platform.sandbox, ["27821119999"], limit_s=300)
    assert [len(messages) for messages in had.values()] == [1]
