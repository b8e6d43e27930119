"""What answers at ``/``, over doubles of the parts behind."""

import asyncio
import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from actors.shards.errors import ShardUnavailableError
from actors.shards.unit import UnitCall, UnitOutcome
from services.ops.front import Front, FrontApp
from services.ops.pages import pages_of
from services.ops.readiness import Readiness
from tests import gateway

PAGES = pages_of({"openapi": "3.1.0", "paths": {"/x": {}}})
WEBHOOK, ADMIN = "/api/v1/webhooks/whatsapp", "/api/v1/mailboxes"
OWNED = {"partitions": {"0": {"state": "owning"}}, "consumer_up": True}
PASSIVE = {"partitions": {"0": {"state": "passive"}}, "consumer_up": True}


class Behind:
    """The parts behind."""

    def __init__(self) -> None:
        self.queues: Mapping[str, Mapping[str, Any]] = {"whatsapp.inbound": OWNED}
        self.away: frozenset[int] = frozenset()
        self.asked = 0
        self.probed: list[int] = []
        self.now = 0.0
        self.redis_faults: list[str] | None = []

    async def redis(self) -> list[str]:
        if self.redis_faults is None:
            await asyncio.Event().wait()
        return self.redis_faults or []

    async def statistics(self) -> Mapping[str, Mapping[str, Any]]:
        self.asked += 1
        await asyncio.sleep(0)
        return self.queues

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        self.probed += [call.shard for call in calls]
        return [
            UnitOutcome(None, (), ShardUnavailableError(call.shard, "gone") if call.shard in self.away else None)
            for call in calls
        ]


async def admin(scope: Scope, receive: Receive, send: Send) -> None:
    path = scope["path"].removeprefix(scope["root_path"])
    await PlainTextResponse(f"admin {path}")(scope, receive, send)


@pytest.fixture
def behind() -> Behind:
    return Behind()


def _readiness(behind: Behind, *, limit_s: float = 2.5) -> Readiness:
    return Readiness(
        behind.statistics, behind, {"whatsapp.inbound"}, {"redis": behind.redis},
        fresh_s=2, limit_s=limit_s, clock=lambda: behind.now,
    )  # fmt: skip


@pytest.fixture
def client(behind: Behind) -> httpx.AsyncClient:
    return _client(_readiness(behind))


def _client(readiness: Readiness) -> httpx.AsyncClient:
    served = {ADMIN: admin}
    front = FrontApp(served, gateway.behind("front", Front(served, readiness, (WEBHOOK,), PAGES)))
    return httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://spaza")


async def test_a_path_that_is_not_there_is_answered_in_the_one_shape_of_errors(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nothing/here", headers={"X-Correlation-ID": "mine"})

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
    assert answer.json() == {"message": "Not found", "request_id": "mine"}
    assert answer.headers["x-correlation-id"] == "mine"


async def test_a_newcomer_at_the_root_is_told_where_things_are(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")

    assert answer.status_code == 200
    assert {WEBHOOK, ADMIN, "/healthz", "/readyz"} <= set(answer.json()["paths"])
    assert answer.json()["read"] == "/docs"
    assert {"/docs", "/openapi.json"} <= set(answer.json()["paths"])
    assert (await client.post("/")).status_code == 405
    assert (await client.head("/")).text == ""


@pytest.mark.parametrize("path", [WEBHOOK, f"{WEBHOOK}/", f"{WEBHOOK}/more"])
async def test_a_path_of_another_application_that_is_not_there_yet_asks_to_come_again(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.post(path, content=b"{}")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json()["request_id"] == answer.headers["x-correlation-id"]


@pytest.mark.parametrize("path", [WEBHOOK.replace("w", "%77", 1), WEBHOOK.replace("/", "%2F")])
async def test_a_path_that_no_application_will_ever_get_is_not_said_to_come(
    client: httpx.AsyncClient, path: str
) -> None:
    assert (await client.post(path, content=b"{}")).status_code == 404


async def test_the_admin_api_has_its_paths_and_no_others(client: httpx.AsyncClient) -> None:
    assert (await client.get(ADMIN)).text == "admin "
    assert (await client.get(f"{ADMIN}/queue/messages")).text == "admin /queue/messages"
    assert (await client.get(f"{ADMIN}-not")).status_code == 404


async def test_health_asks_nobody_and_readiness_is_true_to_the_parts_behind(
    client: httpx.AsyncClient, behind: Behind
) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert behind.asked == 0

    well = await client.get("/readyz")
    behind.queues, behind.away, behind.now = {"whatsapp.inbound": PASSIVE}, frozenset(range(32)), 10.0
    ill = await client.get("/readyz")

    parts = {"mailboxes": "ok", "shards": "ok", "redis": "ok"}
    assert (well.status_code, well.json()) == (200, {"ready": True, "parts": parts})
    assert (ill.status_code, ill.headers["retry-after"]) == (503, "2")
    assert ill.json()["parts"]["mailboxes"] == "whatsapp.inbound: 1 passive"
    assert ill.json()["parts"]["shards"] == "none commits: ShardUnavailableError"


async def test_many_who_ask_at_once_or_soon_after_cost_one_question(client: httpx.AsyncClient, behind: Behind) -> None:
    await asyncio.gather(*(client.get("/readyz") for _ in range(20)))
    behind.now = 1.9
    await client.get("/readyz")
    assert behind.asked == 1

    behind.now = 2.1
    await client.get("/readyz")

    assert behind.asked == 2


async def test_one_shard_of_many_that_does_not_commit_leaves_the_whole_ready(
    client: httpx.AsyncClient, behind: Behind
) -> None:
    behind.away = frozenset({7})

    answer = await client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json()["parts"]["shards"] == "ok; but 07 does not commit: ShardUnavailableError"
    assert behind.probed == list(range(32))


async def test_a_part_that_says_what_is_wrong_or_nothing_at_all_leaves_the_whole_not_ready(
    client: httpx.AsyncClient, behind: Behind
) -> None:
    behind.redis_faults = ["is full"]
    ill = await client.get("/readyz")
    behind.redis_faults = None
    silent = await _client(_readiness(behind, limit_s=0)).get("/readyz")

    assert (ill.status_code, ill.json()["parts"]["redis"]) == (503, "is full")
    assert (silent.status_code, silent.json()["parts"]["redis"]) == (503, "does not answer: TimeoutError")


async def test_an_answer_has_the_id_that_serve_gave_the_request_unless_the_caller_has_one(
    client: httpx.AsyncClient,
) -> None:
    serves = await client.get("/nothing", headers={"X-Request-ID": "serves"})
    callers = await client.get("/nothing", headers={"X-Request-ID": "serves", "X-Correlation-ID": "callers"})

    assert (serves.json()["request_id"], callers.json()["request_id"]) == ("serves", "callers")


async def test_the_document_is_for_programs_and_its_page_for_people(client: httpx.AsyncClient) -> None:
    document = await client.get("/openapi.json")
    page = await client.get("/docs")

    assert document.headers["content-type"] == "application/json"
    assert document.json() == {"openapi": "3.1.0", "paths": {"/x": {}}}
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "x-correlation-id" in page.headers
    assert (await client.head("/docs")).text == ""
    assert (await client.post("/openapi.json")).status_code == 405


async def test_the_page_asks_nothing_of_other_machines_and_a_browser_runs_nothing_but_it(
    client: httpx.AsyncClient,
) -> None:
    page = await client.get("/docs")

    policy = page.headers["content-security-policy"]
    script = re.search(r"<script>(.*?)</script>", page.text, re.DOTALL)
    assert script is not None
    print_of_script = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{print_of_script}'" in policy
    assert not re.search(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", page.text)
    assert "innerHTML" not in page.text


async def test_what_the_process_looks_after_runs_from_its_start_to_its_end(behind: Behind) -> None:
    began, ended, over = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def keeper() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def receive() -> dict[str, Any]:
        if not began.is_set():
            return {"type": "lifespan.startup"}
        await over.wait()
        return {"type": "lifespan.shutdown"}

    async def send(_event: Any) -> None:
        await began.wait()

    front = FrontApp({}, gateway.behind("front", Front({}, _readiness(behind), (), {})), [keeper])
    life = asyncio.ensure_future(front({"type": "lifespan"}, receive, send))
    await began.wait()
    assert not ended.is_set()
    over.set()
    await life

    await asyncio.wait_for(ended.wait(), 60)
