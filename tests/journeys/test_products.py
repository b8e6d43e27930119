"""A merchant's program: a token, and then products over HTTP, on the whole platform."""

import asyncio
import base64
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from tests.journeys.platform import Platform

BREAD = {"name": "Brown bread", "price": {"amount": 1749, "currency": "ZAR"}, "stock": 3}
ORLANDO = {"lat": -26.24, "lon": 27.85}
# Of what schemathesis found: none of these may be.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "response_headers_conformance,ignored_auth"
)

# A list in the query; a head of more than 16 KiB HAProxy answers in its own words (decision 8).
LONG = "messages"


async def spaza(platform: Platform, *arguments: str) -> Any:
    done = await asyncio.to_thread(platform.command, "tenant", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def thandis_token(platform: Platform) -> str:
    [thandi] = [one for one in (await spaza(platform, "list"))["tenants"] if one["name"] == "Thandi's Spaza"]
    done = await asyncio.to_thread(platform.command, "tenant", "token", thandi["tenant_id"])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_merchants_program_searches_and_changes_its_shelf(
    platform: Platform, client: httpx.AsyncClient
) -> None:
    url, headers = f"{platform.api}/api/v1/products", bearer(await thandis_token(platform))

    found = (await client.get(url, params={"q": "bread", **ORLANDO}, headers=headers)).json()["products"]
    listed = (await client.get(url, headers=headers)).json()
    made = await client.put(f"{url}/journey-bread", json=BREAD, headers=headers)
    mistyped = (await client.get(url, params={"q": "browm bread"}, headers=headers)).json()["products"]
    batch = await client.post(
        f"{url}/batch", json={"products": [{"sku": "journey-bread", **BREAD}, {"sku": "!"}]}, headers=headers
    )
    gone = await client.delete(f"{url}/journey-bread", headers=headers)

    assert [one["sku"] for one in found] == ["bread-brown", "bread-white"]
    assert all(0 < one["distance_km"] < 2 for one in found)
    assert (len(listed["products"]), listed["next_cursor"]) == (30, None)
    assert (made.status_code, gone.status_code) == (201, 204)
    assert {"bread-brown", "journey-bread"} <= {one["sku"] for one in mistyped}
    assert [one["status"] for one in batch.json()["results"]] == ["unchanged", "refused"]


async def test_nobody_sees_products_without_a_token_that_holds(platform: Platform, client: httpx.AsyncClient) -> None:
    url = f"{platform.api}/api/v1/products"
    number = f"{time.time_ns() % 10**15}=+27110000098"
    made = await spaza(
        platform, "create", "--name", "Forged", "--number", number, "--lat", "-26", "--lon", "28", "--access-token", "E"
    )
    key, kid = base64.b64decode(made["credential"]["secret"]), made["credential"]["kid"]
    claims = {"kid": kid, "tenant_id": made["tenant_id"], "exp": int(time.time()) + 300}
    thandi = jwt.decode(await thandis_token(platform), options={"verify_signature": False})

    def signed(secret: Any = key, algorithm: str = "HS256", **changes: Any) -> str:
        return jwt.encode({**claims, **changes}, secret, algorithm)

    good = signed()
    unsigned = signed(None, "none")
    refused: list[tuple[Any, Any]] = [
        ([], "Unauthorized"),
        ([("X-Tenant-ID", made["tenant_id"])], "Unauthorized"),
        ([("Authorization", "Bearer x")], "Bad token; invalid JSON"),
        ([("Authorization", f"Bearer {signed(b'f' * 32)}")], "Invalid signature"),
        ([("Authorization", f"Bearer {unsigned}")], "Bad token; invalid alg"),
        ([("Authorization", f"Bearer {signed(key * 2, 'HS512')}")], "Invalid algorithm"),
        ([("Authorization", f"Bearer {signed(exp=int(time.time()) - 1)}")], {"exp": "token expired"}),
        ([("Authorization", f"Bearer {signed(exp='never')}")], {"exp": "must be a number"}),
        (
            [("Authorization", f"Bearer {signed(tenant_id=thandi['tenant_id'])}")],
            {"tenant_id": "is not that of the credential"},
        ),
        ([("Authorization", f"Bearer {signed(kid='0' * 32)}")], "No credentials found for given 'kid'"),
        ([("Authorization", f"Bearer {good}"), ("Authorization", f"Bearer {unsigned}")], "Multiple tokens provided"),
    ]
    for headers, words in refused:
        answer = await client.get(url, headers=headers)
        said = answer.json()
        assert (answer.status_code, said if isinstance(words, dict) else said["message"]) == (401, words), headers
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["x-correlation-id"]
    assert (await client.get(url, headers=bearer(good))).status_code == 200
    assert (await client.post(f"{url}/sync", headers=bearer(good))).status_code == 404


async def test_what_the_front_says_is_true(platform: Platform, client: httpx.AsyncClient) -> None:
    welcome = (await client.get(platform.api)).json()
    document = (await client.get(f"{platform.api}/openapi.json")).json()
    page = await client.get(f"{platform.api}{welcome['read']}")

    assert "/api/v1/products" in welcome["paths"]
    assert {path for path in document["paths"] if path.count("/") == 3} <= {*welcome["paths"], "/api/v1/tenants"}
    assert page.headers["content-type"].startswith("text/html")


@pytest.mark.timeout(2400)
async def test_schemathesis_finds_nothing_that_the_document_does_not_say(platform: Platform, tmp_path: Path) -> None:
    number = f"{time.time_ns() % 10**15}=+27110000099"
    made = await spaza(
        platform, "create", "--name", "Sipho", "--number", number, "--lat", "-26", "--lon", "28",
        "--access-token", "EAAG", "--minute", "1000000", "--hour", "1000000",
    )  # fmt: skip
    # Usage has a limit of its own.
    await spaza(platform, "limits", made["tenant_id"], "--route", "usage", "--minute", "1000000", "--hour", "1000000")
    signed = await spaza(platform, "token", made["tenant_id"])

    merchants = (signed["token"], "--include-path-regex", "/(products|usage)")
    # What would hold up other journeys is left out, and what may be asked in more than HAProxy reads of a head.
    operators = (
        "sandbox-admin-token",
        "--exclude-path-regex", f"/(products|usage|webhooks|remove|suspend|rotate|pause|purge|redrive|reseal|{LONG})",
        "--max-examples", "5",
    )  # fmt: skip
    found = await _found(platform, tmp_path, merchants, operators)
    if found:
        # A busy machine may have put something off; what is a fault is found again by the same questions.
        found = await _found(platform, tmp_path, merchants, operators)
    assert found == []


async def _found(platform: Platform, folder: Path, *runs: tuple[str, ...]) -> list[str]:
    """What some runs side by side say who found something."""
    running = [await _schemathesis(platform, token, folder, *arguments) for token, *arguments in runs]
    said = await asyncio.gather(*(one.communicate() for one in running))
    return [output.decode()[-12_000:] for one, (output, _) in zip(running, said, strict=True) if one.returncode != 0]


async def _schemathesis(platform: Platform, token: str, folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"), "run", f"{platform.api}/openapi.json",
        "--header", f"Authorization: Bearer {token}", "--checks", CHECKS, "--phases", "examples,coverage,fuzzing",
        "--max-examples", "15", "--seed", "1", "--generation-database", "none", "--suppress-health-check", "all",
        "--request-timeout", "60", "--no-color", *arguments,
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={"PATH": ""},
    )  # fmt: skip
