"""A merchant's limits, from outside: what it has used, and customers who write more than that."""

import asyncio
import base64
import time
from typing import Any

import httpx
import jwt
import pytest

from tests.journeys.platform import Platform, deliver, replies_to, text_message

ADMIN_TOKEN = "sandbox-admin-token"
NUMBER, TOKEN = "100000000000066", "token-66"


async def make_merchant(client: httpx.AsyncClient, platform: Platform, *, hour: int) -> tuple[str, str]:
    """Its id, and a token of its own."""
    number = {"phone_number_id": NUMBER, "display_phone_number": "+27110000066"}
    await client.post(
        f"{platform.sandbox}/sandbox/numbers", json={**number, "access_token": TOKEN, "waba_id": "200000000000066"}
    )
    answer = await client.post(
        f"{platform.api}/api/v1/tenants",
        headers={"Authorization": f"Bearer {ADMIN_TOKEN}", "Idempotency-Key": "limits"},
        json={
            "name": "Sixty-six",
            "phone_numbers": [number],
            "location": {"lat": -26.2, "lon": 28.0},
            "whatsapp": {"access_token": TOKEN},
            "limits": {"hour": hour},
        },
    )
    made = answer.raise_for_status().json()
    claims = {"kid": made["credential"]["kid"], "tenant_id": made["tenant_id"], "exp": int(time.time()) + 300}
    return made["tenant_id"], jwt.encode(claims, base64.b64decode(made["credential"]["secret"]), "HS256")


async def usage(client: httpx.AsyncClient, platform: Platform, token: str) -> dict[str, Any]:
    answer = await client.get(f"{platform.api}/api/v1/usage", headers={"Authorization": f"Bearer {token}"})
    return {one["route"]: one for one in answer.raise_for_status().json()["routes"]}


@pytest.mark.timeout(240)
async def test_customers_over_their_merchants_limit_are_answered_and_the_merchant_and_operators_see_what_is_used(
    platform: Platform, client: httpx.AsyncClient
) -> None:
    tenant_id, token = await make_merchant(client, platform, hour=3)
    if time.time() % 3600 > 3540:  # so that one hour sees all of it
        await asyncio.sleep(3600.5 - time.time() % 3600)
    before = await usage(client, platform, token)
    customers = [f"2782066000{number}" for number in range(8)]

    for customer in customers:
        body = text_message(customer, "Hi", f"wamid.{customer}", phone_number_id=NUMBER)
        await deliver(client, platform.webhook, body)
    replies = await replies_to(client, platform.sandbox, customers, limit_s=30)
    after = await usage(client, platform, token)

    assert all(replies[customer] for customer in customers)
    assert {"products", "orders", "payments", "whatsapp"} <= set(before)
    assert (before["products"]["minute"]["limit"], before["products"]["hour"]["limit"]) == (100, 3)
    assert before["whatsapp"]["hour"]["used"] == 0
    assert (after["whatsapp"]["hour"]["used"], after["whatsapp"]["hour"]["remaining"]) == (3, 0)
    limits = platform.status()["figures"]["rate_limits"]
    assert limits["tenants_top"][tenant_id]["whatsapp"]["hour"] == after["whatsapp"]["hour"]


async def test_usage_is_for_who_is_known(platform: Platform, client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{platform.api}/api/v1/usage")

    assert (answer.status_code, answer.json()["message"]) == (401, "Unauthorized")
