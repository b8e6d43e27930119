"""What a newcomer sees first: a signed message comes back as a reply, and hostile posts do no harm."""

import asyncio
import json
from pathlib import Path

import httpx

from services.outgoing.delivery_state import READ
from tests.journeys.databases import every_shard
from tests.journeys.platform import Platform, answer_to, deliver, outbox, replies_to, signature, text_message

_STATUSES = "SELECT state FROM {schema}.message_status WHERE wamid = $1"
_SENT = "SELECT rank, state FROM {schema}.outgoing_message WHERE wamid = $1"


async def test_a_signed_message_is_answered_200_and_comes_back_as_a_greeting(
    platform: Platform, client: httpx.AsyncClient
) -> None:
    body = text_message("27821110001", "Hello", "wamid.JOURNEY1")

    answer = await answer_to(client, platform.webhook, body, headers={"X-Correlation-ID": "journey-1"})

    assert answer.status_code == 200
    assert answer.headers["X-Correlation-ID"] == "journey-1"
    [reply] = (await replies_to(client, platform.sandbox, ["27821110001"], limit_s=300))["27821110001"]
    assert reply["phone_number_id"] == "100000000000001"
    assert "Thandi" in json.dumps(reply["payload"])


async def test_the_same_message_again_changes_nothing(platform: Platform, client: httpx.AsyncClient) -> None:
    body = text_message("27821110002", "Hello", "wamid.JOURNEY2")
    answers = [await answer_to(client, platform.webhook, body)]
    await replies_to(client, platform.sandbox, ["27821110002"], limit_s=300)

    answers += await asyncio.gather(*(answer_to(client, platform.webhook, body) for _ in range(20)))
    await asyncio.sleep(2)

    assert {answer.status_code for answer in answers} == {200}
    assert len(await outbox(client, platform.sandbox, to="27821110002")) == 1


async def test_the_statuses_of_a_reply_come_back_and_are_kept(platform: Platform, client: httpx.AsyncClient) -> None:
    await deliver(client, platform.webhook, text_message("27821110003", "Hi", "wamid.JOURNEY3"))
    await replies_to(client, platform.sandbox, ["27821110003"], limit_s=300)

    [reply] = await outbox(client, platform.sandbox, to="27821110003")
    for _ in range(240):
        kept = await every_shard(platform.data_dir, _STATUSES, reply["wamid"], of_each_tenant=True)
        sent = await every_shard(platform.data_dir, _SENT, reply["wamid"], of_each_tenant=True)
        if {row["state"] for row in kept} >= {"sent", "delivered", "read"} and any(row["rank"] >= READ for row in sent):
            break
        await asyncio.sleep(0.5)

    assert {row["state"] for row in kept} >= {"sent", "delivered", "read"}
    assert [(row["rank"], row["state"]) for row in sent] == [(READ, "read")]


async def test_the_handshake_echoes_the_challenge_for_the_right_token_alone(
    platform: Platform, client: httpx.AsyncClient
) -> None:
    query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": "sandbox-verify-token"}

    right = await client.get(platform.webhook, params=query)
    wrong = await client.get(platform.webhook, params={**query, "hub.verify_token": "guess"})
    other = await client.get(platform.webhook, params={**query, "hub.mode": "unsubscribe"})

    assert (right.status_code, right.text) == (200, "1158201444")
    assert (wrong.status_code, other.status_code) == (403, 403)


async def test_a_post_that_meta_did_not_sign_is_refused_with_the_error_shape(
    platform: Platform, client: httpx.AsyncClient
) -> None:
    body = text_message("27821110004", "Hello", "wamid.JOURNEY4")

    unsigned = await client.post(platform.webhook, content=body)
    forged = await client.post(
        platform.webhook, content=body, headers={"X-Hub-Signature-256": signature(body, "another-secret")}
    )

    for answer in (unsigned, forged):
        assert answer.status_code == 401
        assert set(answer.json()) == {"message", "request_id"}
        assert answer.headers["X-Correlation-ID"]
    assert await outbox(client, platform.sandbox, to="27821110004") == []


async def test_the_signature_counts_the_bytes_as_meta_wrote_them(
    platform: Platform, client: httpx.AsyncClient, payloads: Path
) -> None:
    vectors = json.loads((payloads / "signature_vectors.json").read_text())["whatsapp"]
    escaped, reserialised = vectors["body_as_sent_meta_style"].encode(), vectors["same_json_reserialised_utf8"].encode()

    assert (await answer_to(client, platform.webhook, escaped)).status_code == 200
    swapped = await client.post(
        platform.webhook, content=reserialised, headers={"X-Hub-Signature-256": signature(escaped)}
    )
    assert swapped.status_code == 401


async def test_a_post_over_three_mebibytes_is_refused_and_one_just_below_is_not(
    platform: Platform, client: httpx.AsyncClient
) -> None:
    allowed = text_message("27821110005", "x" * (3 * 1024 * 1024 - 1000), "wamid.JOURNEY5")
    assert len(allowed) <= 3 * 1024 * 1024
    beyond = allowed + b" " * (3 * 1024 * 1024 + 1 - len(allowed))

    assert (await answer_to(client, platform.webhook, allowed)).status_code == 200
    refused = await answer_to(client, platform.webhook, beyond)
    assert refused.status_code == 413
    assert set(refused.json()) == {"message", "request_id"}


async def test_one_bad_message_does_not_keep_its_neighbours_from_their_replies(
    platform: Platform, client: httpx.AsyncClient
) -> None:
    envelope = json.loads(text_message("27821110006", "Hello", "wamid.JOURNEY6"))
    messages = envelope["entry"][0]["changes"][0]["value"]["messages"]
    messages.insert(0, {"type": "text", "text": "not an object", "id": 17})
    messages.insert(1, {"from": "27821110007", "id": "wamid.JOURNEY7", "timestamp": "x", "type": "hologram"})
    messages.insert(2, "not even an object")

    answer = await answer_to(client, platform.webhook, json.dumps(envelope).encode())

    assert answer.status_code == 200
    assert len((await replies_to(client, platform.sandbox, ["27821110006"], limit_s=300))["27821110006"]) == 1
