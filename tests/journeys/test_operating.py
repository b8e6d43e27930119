"""An operator at work: what went wrong is found, mended and put back, and all of it is written down."""

import asyncio
import getpass
import json
import time
from typing import Any

import httpx
import pytest

from tests.journeys.merchants import provision
from tests.journeys.platform import Platform, deliver, outbox, replies_to, text_message

NUMBER, CUSTOMER, WAMID = "100000000000077", "27825550001", "wamid.OPERATE1"


async def spaza(platform: Platform, *arguments: str, status: int = 0) -> Any:
    answer = await asyncio.to_thread(platform.command, "mailbox", *arguments, "--json")
    assert answer.returncode == status, answer
    return json.loads(answer.stdout)


async def dead_letter(platform: Platform) -> dict[str, Any]:
    deadline = time.monotonic() + 180
    while True:
        found = (await spaza(platform, "peek", "dlq.whatsapp.inbound", "--tenant", NUMBER))["messages"]
        if found:
            return dict(found[0])
        assert time.monotonic() < deadline, "it never became a dead letter"
        await asyncio.sleep(0.3)


async def ended_trace(platform: Platform) -> dict[str, Any]:
    """The trace when what the message caused has ended, and all shards have told."""
    deadline = time.monotonic() + 180
    while True:
        trace = await spaza(platform, "trace", WAMID)
        if trace["complete"] and {one["state"] for one in trace["caused"]} == {"acknowledged"}:
            return dict(trace)
        assert time.monotonic() < deadline, trace
        await asyncio.sleep(0.5)


@pytest.mark.timeout(1200)
async def test_a_message_to_a_number_that_nobody_has_is_found_and_put_back_when_somebody_has_it(
    platform: Platform, client: httpx.AsyncClient
) -> None:
    redrive = ("redrive", "whatsapp.inbound", "--tenant", NUMBER)
    await deliver(client, platform.webhook, text_message(CUSTOMER, "Hi", WAMID, phone_number_id=NUMBER))

    letter = await dead_letter(platform)
    assert (letter["cause"], letter["reason"]) == ("rejected", "unknown_phone_number")
    assert CUSTOMER not in json.dumps(letter)
    queues = {one["queue"]: one for one in (await spaza(platform, "list"))["queues"]}
    assert queues["whatsapp.inbound"]["reasons"]["rejected/unknown_phone_number"] >= 1
    assert (await spaza(platform, *redrive, "--dry-run"))["selected"] == 1
    assert len((await spaza(platform, "trace", WAMID))["messages"]) == 1

    number = {"phone_number_id": NUMBER, "display_phone_number": "+27110000077", "access_token": "token-77"}
    await client.post(f"{platform.sandbox}/sandbox/numbers", json={**number, "waba_id": "200000000000077"})
    await provision(platform.data_dir, NUMBER, "Sipho's Spaza", "token-77")
    done = await spaza(platform, *redrive, "--yes")
    [reply] = (await replies_to(client, platform.sandbox, [CUSTOMER], limit_s=300))[CUSTOMER]
    again = await spaza(platform, *redrive, "--yes")
    await deliver(client, platform.webhook, text_message(CUSTOMER, "Hi", WAMID, phone_number_id=NUMBER))
    await asyncio.sleep(2)

    assert (done["messages"], again["messages"]) == (1, 0)
    assert reply["phone_number_id"] == NUMBER
    assert len(await outbox(client, platform.sandbox, to=CUSTOMER)) == 1
    trace = await ended_trace(platform)
    events = [one["event"] for one in trace["messages"][0]["events"]]
    assert events[:5] == ["published", "rejected", "redriven", "queued again", "acknowledged"]
    assert [one["state"] for one in trace["caused"]] == ["acknowledged"]
    assert trace["complete"] is True
    action = (await spaza(platform, "actions", "--queue", "whatsapp.inbound"))["actions"][0]
    assert (action["action"], action["operator"]) == ("redrive", getpass.getuser())
    [wamid] = [one["wamid"] for one in trace["caused"][0]["events"] if one["event"] == "outgoing"]
    of_reply = await spaza(platform, "trace", wamid)
    assert trace["caused"][0]["message_id"] in {one["message_id"] for one in of_reply["messages"]}


async def test_a_paused_queue_takes_messages_and_delivers_them_when_it_is_resumed(
    platform: Platform, client: httpx.AsyncClient
) -> None:
    customer = "27825550002"
    await spaza(platform, "pause", "whatsapp.inbound")
    try:
        await deliver(client, platform.webhook, text_message(customer, "Hi", "wamid.OPERATE2"))
        await asyncio.sleep(2)
        waiting = await spaza(platform, "peek", "whatsapp.inbound")
        status = await asyncio.to_thread(
            platform.becomes,
            lambda status: "paused" in status["figures"].get("mailboxes", {}).get("whatsapp.inbound", {}),
        )
        held = await outbox(client, platform.sandbox, to=customer)
    finally:
        await spaza(platform, "resume", "whatsapp.inbound")

    # Beside it there may be what became of an earlier reply.
    assert "100000000000001:wamid.OPERATE2" in [one["message_id"] for one in waiting["messages"]]
    assert status["figures"]["mailboxes"]["whatsapp.inbound"]["paused"] is True
    assert held == []
    assert len((await replies_to(client, platform.sandbox, [customer], limit_s=300))[customer]) == 1


async def test_what_is_wrong_with_a_command_is_said_with_its_remedy(platform: Platform) -> None:
    unknown = await asyncio.to_thread(platform.command, "mailbox", "pause", "nonsense")
    unsaid = await asyncio.to_thread(platform.command, "mailbox", "purge", "whatsapp.inbound", "--yes")
    unconfirmed = await asyncio.to_thread(platform.command, "mailbox", "purge", "whatsapp.inbound", "--all")
    platform.environment["SPAZA_ADMIN__TOKEN"] = "wrong"
    try:
        stranger = await asyncio.to_thread(platform.command, "mailbox", "list")
    finally:
        del platform.environment["SPAZA_ADMIN__TOKEN"]

    assert (unknown.returncode, unsaid.returncode, unconfirmed.returncode, stranger.returncode) == (1, 1, 2, 1)
    assert "the queues are whatsapp.inbound, orders.process, notifications.whatsapp" in unknown.stderr
    assert "say all" in unsaid.stderr
    assert "--yes" in unconfirmed.stderr
    assert "SPAZA_ADMIN__TOKEN" in stranger.stderr


async def test_the_admin_api_lets_nobody_in_without_the_token(platform: Platform, client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{platform.api}/api/v1/mailboxes")
    known = await client.get(
        f"{platform.api}/api/v1/mailboxes", headers={"Authorization": "Bearer sandbox-admin-token"}
    )

    assert answer.status_code == 401
    assert set(answer.json()) == {"message", "request_id"}
    assert {one["queue"] for one in known.json()["queues"]} >= {"whatsapp.inbound", "notifications.whatsapp"}
