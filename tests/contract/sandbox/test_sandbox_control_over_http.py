"""The sandbox's own API, the shapes of errors, and its start."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.contract.sandbox.sandbox_process import NUMBER, ROOT, Receiver, running, send


@pytest.fixture
async def shared(receiver: Receiver) -> AsyncIterator[httpx.AsyncClient]:
    async with running(receiver.url) as client:
        yield client


@pytest.mark.parametrize(
    ("call", "status", "field"),
    [
        (("PUT", "/sandbox/knobs", b'{"pair": 1}'), 400, "pair"),
        (("PUT", "/sandbox/knobs", b"{"), 400, None),
        (("POST", "/sandbox/numbers", b'{"phone_number_id": "x"}'), 400, "phone_number_id"),
        (("POST", "/sandbox/inbound", b'{"phone_number_id":"404", "user_id":"Z", "text":""}'), 400, "phone_number_id"),
        (("GET", "/sandbox/outbox?limit=0", b""), 400, "limit"),
        (("GET", "/sandbox/nothing", b""), 404, None),
        (("POST", "/sandbox/outbox", b""), 405, None),
        (("POST", "/sandbox/inbound", b" " * 300_000), 413, None),
    ],
)  # fmt: skip
async def test_errors_of_the_control_api_name_the_field(
    shared: httpx.AsyncClient, call: tuple[str, str, bytes], status: int, field: str | None
) -> None:
    method, path, body = call
    answer = await shared.request(method, path, content=body)

    assert answer.status_code == status
    error = answer.json()
    assert error["message"]
    assert re.fullmatch("[0-9a-f]{32}", error["request_id"])
    if field is not None:
        assert field in [one["field"] for one in error["errors"]]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", f"/v23.0/{NUMBER}/messages", 401, 190),
        ("GET", f"/v23.0/{NUMBER}/messages", 400, 100),
        ("POST", "/v23.0/me/messages", 400, 2500),
    ],
)
async def test_the_graph_api_answers_everything_in_its_own_shape(
    shared: httpx.AsyncClient, method: str, path: str, status: int, code: int
) -> None:
    answer = await shared.request(method, path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_the_page_is_there_for_people(shared: httpx.AsyncClient) -> None:
    await send(shared, body="<b>Molo</b>")

    page, frame = await shared.get("/"), await shared.get("/sandbox/conversations")

    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert 'src="/sandbox/conversations?' in page.text
    assert "&lt;b&gt;Molo&lt;/b&gt;" in frame.text


async def test_one_writes_as_a_customer_from_the_page_and_sees_both_sides(
    shared: httpx.AsyncClient, receiver: Receiver
) -> None:
    form = {"number": NUMBER, "customer": "+27 82 999 0001", "name": "Sipho", "text": "Ninjani & \u00e9"}

    written = await shared.post("/sandbox/write", data=form)
    frame = await shared.get("/sandbox/conversations", params={"number": NUMBER, "customer": "27829990001"})

    assert written.status_code == 303
    page = await shared.get(written.headers["location"])
    assert 'value="27829990001"' in page.text
    assert 'value="Sipho"' in page.text
    assert "Ninjani &amp; \u00e9" in frame.text
    assert "answered 200" in frame.text


async def test_what_cannot_be_written_is_said_on_the_page_and_kept_in_the_form(shared: httpx.AsyncClient) -> None:
    refused = await shared.post("/sandbox/write", data={"number": "404", "customer": "nobody", "text": "Molo"})

    assert refused.status_code == 400
    assert "phone number of 5 to 15 digits" in refused.text
    assert 'value="Molo"' in refused.text


async def test_a_taken_port_is_named(receiver: Receiver) -> None:
    port = receiver.url.split(":")[2].split("/")[0]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cluster.sandbox", "--port", port, cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode == 1
    assert f"127.0.0.1:{port}" in errors.decode()
