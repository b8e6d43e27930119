"""The sandbox as its own process: webhooks, redelivery, statuses."""

import asyncio
import hashlib
import hmac
import json
from pathlib import Path

import httpx
import pytest

from tests.contract.sandbox.sandbox_process import NUMBER, SECRET, TOKEN, Receiver, running, send, text, until
from tests.peers import refused_port


async def test_a_webhook_is_signed_and_comes_again_with_the_same_bytes_until_it_is_answered_200(
    receiver: Receiver,
) -> None:
    receiver.answers = [503, 503]
    async with running(receiver.url) as client:
        wrote = {"phone_number_id": NUMBER, "from": "27821234567", "name": "Zoë", "text": "é @ 5% /"}
        answer = await client.post("/sandbox/inbound", json=wrote)
        assert answer.json()["http_status"] == 503

        await until(lambda: len(receiver.bodies) == 3)
        # Long enough for a fourth, which must not come.
        await asyncio.sleep(0.3)
        health = (await client.get("/healthz")).json()["webhooks"]

    assert len(receiver.bodies) == 3
    assert len(set(receiver.bodies)) == 1
    body = receiver.bodies[0]
    assert b'"\\u00e9 \\u0040 5\\u0025 \\/"' in body
    assert set(receiver.signatures) == {"sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}
    assert [one["id"] for one in receiver.updates("messages")] == [answer.json()["wamid"]] * 3
    assert (health["failed_attempts"], health["given_up"], health["dropped"]) == (2, 0, 0)


async def test_an_accepted_message_is_reported_sent_delivered_and_read_with_its_callback_data(
    receiver: Receiver,
) -> None:
    async with running(receiver.url) as client:
        answer = await send(client, biz_opaque_callback_data="m1")
        wamid = answer.json()["messages"][0]["id"]
        await until(lambda: len(receiver.updates("statuses")) == 3)
        outbox = (await client.get("/sandbox/outbox", params={"to": "+27821234567"})).json()

        statuses = receiver.updates("statuses")
        assert sorted(one["status"] for one in statuses) == ["delivered", "read", "sent"]
        assert {(one["id"], one["biz_opaque_callback_data"]) for one in statuses} == {(wamid, "m1")}
        (sent,) = outbox["messages"]
        assert (sent["wamid"], sent["payload"]["text"]["body"]) == (wamid, "Molo")
        assert [one["status"] for one in sent["statuses"]] == ["sent", "delivered", "read"]

        assert (await client.get("/sandbox/outbox", params={"after": outbox["next"]})).json()["messages"] == []
        assert (await client.delete("/sandbox/outbox")).json() == {"removed": 1}


async def test_redelivery_ends_after_seven_days_of_the_sandboxes_clock(receiver: Receiver) -> None:
    receiver.answers = [500] * 100
    async with running(receiver.url, "--knob", "redelivery_first_ms=60000") as client:
        await client.post("/sandbox/inbound", json={"phone_number_id": NUMBER, "user_id": "ZA.1", "text": "x"})
        await client.post("/sandbox/clock/advance", json={"seconds": 61})
        await until(lambda: len(receiver.bodies) == 2)
        await client.post("/sandbox/clock/advance", json={"seconds": 8 * 86_400})
        await until(lambda: len(receiver.bodies) == 3)

        async with asyncio.timeout(60):
            while (await client.get("/healthz")).json()["webhooks"]["given_up"] == 0:
                pass


async def test_many_updates_travel_in_batches_of_several_numbers(receiver: Receiver) -> None:
    async with running(receiver.url, "--knob", "webhooks_paused=true", "--knob", "batch_max=1000") as client:
        registered = {
            "phone_number_id": "7", "display_phone_number": "+27110000007", "access_token": "seven", "waba_id": "8"
        }  # fmt: skip
        assert (await client.post("/sandbox/numbers", json=registered)).status_code == 201
        for _ in range(5):
            await send(client)
            await client.post("/v23.0/7/messages", json=text(), headers={"authorization": "Bearer seven"})
        async with asyncio.timeout(60):
            while (await client.get("/healthz")).json()["webhooks"]["pending_updates"] < 30:
                pass
        assert receiver.bodies == []
        await client.put("/sandbox/knobs", json={"webhooks_paused": False})
        await until(lambda: len(receiver.updates("statuses")) == 30)

    assert len(receiver.bodies) == 1
    assert [entry["id"] for entry in json.loads(receiver.bodies[0])["entry"]] == ["200000000000001", "8"]


async def test_the_callback_is_verified_on_demand(receiver: Receiver) -> None:
    async with running(receiver.url) as client:
        right = (await client.post("/sandbox/verify-callback")).json()
        wrong = (await client.post("/sandbox/verify-callback", json={"verify_token": "wrong"})).json()

    assert (right["verified"], right["http_status"]) == (True, 200)
    assert (wrong["verified"], wrong["http_status"]) == (False, 403)


async def test_a_message_whose_answer_is_lost_was_accepted_all_the_same(receiver: Receiver) -> None:
    async with running(receiver.url, "--knob", "lost_answer=1") as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(
                f"/v23.0/{NUMBER}/messages", json=text(), headers=TOKEN, timeout=httpx.Timeout(60, read=1.0)
            )
        await until(lambda: len(receiver.updates("statuses")) == 3)

        assert len((await client.get("/sandbox/outbox")).json()["messages"]) == 1


async def test_a_callback_that_is_away_is_reported_and_tried_again(receiver: Receiver) -> None:
    asked = {"phone_number_id": NUMBER, "user_id": "ZA.1", "text": "x"}
    with refused_port() as port:
        async with running(f"http://127.0.0.1:{port}/webhook") as client:
            answer = await client.post("/sandbox/inbound", json=asked)

            assert answer.json()["http_status"] is None
            assert "Connect" in answer.json()["error"]
            assert (await client.get("/healthz")).json()["webhooks"]["pending_updates"] == 1


async def test_registered_numbers_are_known_after_a_restart(receiver: Receiver, tmp_path: Path) -> None:
    registered = {"phone_number_id": "7", "display_phone_number": "+27110000007", "access_token": "s", "waba_id": "8"}
    async with running(receiver.url, "--data-dir", str(tmp_path)) as client:
        await client.post("/sandbox/numbers", json=registered)
    async with running(receiver.url, "--data-dir", str(tmp_path)) as client:
        answer = await client.post("/v23.0/7/messages", json=text(), headers={"authorization": "Bearer s"})
        numbers = (await client.get("/sandbox/numbers")).json()["numbers"]

    assert answer.status_code == 200
    assert [one["phone_number_id"] for one in numbers] == [NUMBER, "7"]
    assert all("access_token" not in one for one in numbers)
