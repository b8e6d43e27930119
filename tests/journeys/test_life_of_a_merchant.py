"""A merchant from its making to its removal, and a new sealing key, over the command line of a running platform."""

import asyncio
import base64
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.journeys.platform import Platform, deliver, replies_to, text_message

NUMBER, TOKEN = "100000000000088", "token-88"


async def spaza(platform: Platform, *arguments: str, status: int = 0) -> Any:
    answer = await asyncio.to_thread(platform.command, *arguments, "--json")
    assert answer.returncode == status, answer
    return json.loads(answer.stdout)


async def write(client: httpx.AsyncClient, platform: Platform, customer: str, *, to: str = NUMBER) -> None:
    await deliver(client, platform.webhook, text_message(customer, "Hi", f"wamid.{customer}", phone_number_id=to))


async def answered(client: httpx.AsyncClient, platform: Platform, customer: str, *, to: str = NUMBER) -> None:
    await write(client, platform, customer, to=to)
    assert (await replies_to(client, platform.sandbox, [customer], limit_s=300))[customer]


async def dead(platform: Platform, customer: str) -> str:
    """Of what a customer's message died."""
    deadline = time.monotonic() + 180
    while True:
        found = (await spaza(platform, "mailbox", "peek", "dlq.whatsapp.inbound", "--unmasked"))["messages"]
        reasons = [one["reason"] for one in found if customer in one["key"]]
        if reasons:
            return str(reasons[0])
        assert time.monotonic() < deadline, "it never became a dead letter"
        await asyncio.sleep(0.3)


@pytest.mark.timeout(1800)
async def test_a_merchant_is_made_suspended_resumed_and_removed_and_every_change_counts_at_once(
    platform: Platform, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    number = {"phone_number_id": NUMBER, "display_phone_number": "+27110000088"}
    await client.post(
        f"{platform.sandbox}/sandbox/numbers", json={**number, "access_token": TOKEN, "waba_id": "200000000000088"}
    )
    # Asked for too early: that it is nobody's is remembered, here and there.
    await write(client, platform, "27820880000")
    assert await dead(platform, "27820880000") == "unknown_phone_number"
    create = (
        "tenant", "create", "--name", "Sipho's Spaza", "--number", f"{NUMBER}=+27110000088", "--lat", "-26.2",
        "--lon", "28.0", "--access-token", TOKEN, "--idempotency-key", "life-of-a-merchant",
    )  # fmt: skip

    made, again = await spaza(platform, *create), await spaza(platform, *create)
    tenant_id = made["tenant_id"]
    await answered(client, platform, "27820880001")
    await spaza(platform, "tenant", "suspend", tenant_id)
    await write(client, platform, "27820880002")
    suspended = await dead(platform, "27820880002")
    await spaza(platform, "tenant", "resume", tenant_id)
    await answered(client, platform, "27820880003")
    rotated = await spaza(platform, "tenant", "rotate", tenant_id)
    shown = await spaza(platform, "tenant", "show", tenant_id)
    listed = await spaza(platform, "tenant", "list")
    await platform.settled(limit_s=240)
    file = tmp_path / "sipho.ndjson"
    removed = await spaza(platform, "tenant", "remove", tenant_id, "--export", str(file), "--yes")
    await write(client, platform, "27820880004")
    late = await dead(platform, "27820880004")

    assert made == again
    assert (suspended, late) == ("tenant_suspended", "unknown_phone_number")
    kids = [one["kid"] for one in shown["credentials"]]
    assert kids == [rotated["credential"]["kid"], made["credential"]["kid"]]
    assert tenant_id in [one["tenant_id"] for one in listed["tenants"]]
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert removed["rows"] == len(lines) - 2
    assert lines[-1]["end"] is True
    assert lines[-1]["rows"]["conversation"] == 2
    assert tenant_id not in json.dumps(await spaza(platform, "tenant", "list"))
    actions = (await spaza(platform, "mailbox", "actions", "--queue", f"tenant {tenant_id}"))["actions"]
    assert [one["action"] for one in actions] == [
        "tenant_remove", "tenant_export", "tenant_give_up", "tenant_rotate", "tenant_resume", "tenant_suspend",
    ]  # fmt: skip


@pytest.mark.timeout(2400)
async def test_the_sealing_key_is_replaced_and_the_merchants_stay(
    own_platform: Platform, client: httpx.AsyncClient
) -> None:
    own_platform.start()
    await answered(client, own_platform, "27820990001", to="100000000000001")
    own_platform.stop()
    old = (own_platform.data_dir / "secrets.key").read_text().strip()
    new = base64.b64encode(b"n" * 32).decode()
    own_platform.environment |= {"SPAZA_SECRETS__KEY": new, "SPAZA_SECRETS__OTHER_KEYS": old}

    own_platform.start()
    await answered(client, own_platform, "27820990002", to="100000000000001")
    done = await spaza(own_platform, "tenant", "reseal")
    own_platform.stop()
    del own_platform.environment["SPAZA_SECRETS__OTHER_KEYS"]
    own_platform.start()
    await answered(client, own_platform, "27820990003", to="100000000000001")

    assert (done["complete"], done["forgotten_keys"]) == (True, 1)
    assert done["resealed"] > 0
