"""A merchant's limits, from outside: what it has used, and customers who write more than that."""

import asyncio
import base64
import json
import time
from typing import Any, NamedTuple

import httpx
import jwt
import pytest

from tests.journeys.platform import Platform, deliver, replies_to, text_message

ADMIN_TOKEN = "sandbox-admin-token"
NUMBER, TOKEN = "100000000000066", "token-66"


async def make_merchant(
    client: httpx.AsyncClient, platform: Platform, *, hour: int, number: str = NUMBER
) -> tuple[str, str]:
    """Its id, and a token of its own."""
    named = {"phone_number_id": number, "display_phone_number": "+27110000066"}
    await client.post(
        f"{platform.sandbox}/sandbox/numbers", json={**named, "access_token": TOKEN, "waba_id": "200000000000066"}
    )
    for _ in range(5):
        # A repeat gets the same answer, and a busy machine may need one.
        answer = await client.post(
            f"{platform.api}/api/v1/tenants",
            headers={"Authorization": f"Bearer {ADMIN_TOKEN}", "Idempotency-Key": f"limits-{number}"},
            json={
                "name": "Sixty-six",
                "phone_numbers": [named],
                "location": {"lat": -26.2, "lon": 28.0},
                "whatsapp": {"access_token": TOKEN},
                "limits": {"hour": hour},
            },
        )
        if answer.status_code < 500:
            break
    made = answer.raise_for_status().json()
    claims = {"kid": made["credential"]["kid"], "tenant_id": made["tenant_id"], "exp": int(time.time()) + 3_000}
    return made["tenant_id"], jwt.encode(claims, base64.b64decode(made["credential"]["secret"]), "HS256")


async def within_a_minute(seconds: float = 40.0) -> None:
    """Go on where so much of a minute of the clock is left."""
    if time.time() % 60 > 60 - seconds:
        await asyncio.sleep(60.5 - time.time() % 60)


async def usage(client: httpx.AsyncClient, platform: Platform, token: str) -> dict[str, Any]:
    answer = await client.get(f"{platform.api}/api/v1/usage", headers={"Authorization": f"Bearer {token}"})
    return {one["route"]: one for one in answer.raise_for_status().json()["routes"]}


@pytest.mark.timeout(1200)
async def test_customers_over_their_merchants_limit_are_answered_and_the_merchant_and_operators_see_what_is_used(
    platform: Platform, client: httpx.AsyncClient
) -> None:
    tenant_id, token = await make_merchant(client, platform, hour=3)
    if time.time() % 3600 > 3420:  # so that one hour sees all of it
        await asyncio.sleep(3600.5 - time.time() % 3600)
    before = await usage(client, platform, token)
    customers = [f"2782066000{number}" for number in range(8)]

    for customer in customers:
        body = text_message(customer, "Hi", f"wamid.{customer}", phone_number_id=NUMBER)
        await deliver(client, platform.webhook, body)
    replies = await replies_to(client, platform.sandbox, customers, limit_s=300)
    for _ in range(20):  # it is not asked more than so many times a minute
        after = await usage(client, platform, token)
        if after["whatsapp"]["hour"]["remaining"] == 0:
            break
        await asyncio.sleep(3)

    assert all(replies[customer] for customer in customers)
    assert {"products", "orders", "payments", "whatsapp"} <= set(before)
    assert (before["products"]["minute"]["limit"], before["products"]["hour"]["limit"]) == (100, 3)
    assert before["whatsapp"]["hour"]["used"] == 0
    assert (after["whatsapp"]["hour"]["used"], after["whatsapp"]["hour"]["remaining"]) == (3, 0)
    status = platform.becomes(lambda status: "tenants_top" in status["figures"].get("rate_limits", {}))
    top = status["figures"]["rate_limits"]["tenants_top"]
    assert top[tenant_id]["whatsapp"]["hour"] == after["whatsapp"]["hour"]


class Minute(NamedTuple):
    """What a merchant's calls were answered under changing limits, and whether one minute of the clock saw them all."""

    is_one: bool
    first: list[httpx.Response]
    lowered: Any
    over: list[httpx.Response]
    left_s: tuple[float, float]
    shown: str
    raised: list[httpx.Response]


async def a_minute(client: httpx.AsyncClient, platform: Platform, number: str) -> tuple[Minute, dict[str, str]]:
    """With a merchant of its own; and the headers by which that is known."""
    tenant_id, token = await make_merchant(client, platform, number=number, hour=1000)
    headers = {"Authorization": f"Bearer {token}"}

    async def limit(minute: int) -> Any:
        change = ("limits", tenant_id, "--route", "products", "--minute", str(minute), "--json")
        done = await asyncio.to_thread(platform.command, "tenant", *change)
        return json.loads(done.stdout)["limits"]["routes"]

    await within_a_minute()
    begun = time.time()
    first = await calls(client, platform, headers, 2)
    lowered = await limit(3)
    before = 60 - time.time() % 60
    over = await calls(client, platform, headers, 2)
    left_s = (60 - time.time() % 60, before)
    shown = (await asyncio.to_thread(platform.command, "tenant", "show", tenant_id)).stdout
    await limit(4)
    raised = await calls(client, platform, headers, 2)
    is_one = begun // 60 == time.time() // 60
    return Minute(is_one, first, lowered, over, left_s, shown, raised), headers


async def calls(
    client: httpx.AsyncClient, platform: Platform, headers: dict[str, str], times: int
) -> list[httpx.Response]:
    return [await client.get(f"{platform.api}/api/v1/products", headers=headers) for _ in range(times)]


@pytest.mark.timeout(1200)
async def test_a_changed_limit_counts_on_the_next_call_and_retry_after_is_true(
    platform: Platform, client: httpx.AsyncClient
) -> None:
    # On a busy machine it may take longer than what is left of a minute, and then tells nothing.
    for number in range(5):
        seen, headers = await a_minute(client, platform, f"1000000000{number:02d}067")
        if seen.is_one:
            break

    assert seen.is_one, "no minute was long enough"
    assert [one.status_code for one in seen.first] == [200, 200]
    assert seen.lowered == {"products": {"minute": 3, "hour": None}}
    passed, refused = seen.over
    assert (passed.status_code, passed.headers["x-ratelimit-remaining-minute"]) == (200, "0")
    assert (refused.status_code, refused.json()["message"]) == (429, "API rate limit exceeded")
    assert seen.left_s[0] - 1 <= int(refused.headers["retry-after"]) <= seen.left_s[1] + 1
    assert "on products 3 a minute" in seen.shown
    passed, refused = seen.raised
    assert (passed.status_code, refused.status_code) == (200, 429)

    # And a moment, for the clocks that are compared are two.
    await asyncio.sleep(int(refused.headers["retry-after"]) + 0.1)
    assert [one.status_code for one in await calls(client, platform, headers, 1)] == [200]


async def test_usage_is_for_who_is_known(platform: Platform, client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{platform.api}/api/v1/usage")

    assert (answer.status_code, answer.json()["message"]) == (401, "Unauthorized")
