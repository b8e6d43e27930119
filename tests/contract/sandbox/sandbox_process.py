"""A sandbox process to talk to, and a receiver of its webhooks that is not always well."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Generator
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

ROOT = Path(__file__).resolve().parents[3]
NUMBER = "100000000000001"
TOKEN = {"authorization": "Bearer sandbox-access-token"}
SECRET, VERIFY = "contract-secret", "contract-verify"
FAST = ["sent_after_ms=10", "delivered_after_ms=30", "read_after_ms=60", "redelivery_first_ms=40"]


class Receiver:
    """A callback that gives the answers it is told, then 200, and keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.bodies: list[bytes] = []
        self.signatures: list[str] = []
        self.url = ""

    async def post(self, request: Request) -> Response:
        self.bodies.append(await request.body())
        self.signatures.append(request.headers["x-hub-signature-256"])
        return Response(status_code=self.answers.pop(0) if self.answers else 200)

    async def handshake(self, request: Request) -> Response:
        asked = request.query_params
        if (asked["hub.mode"], asked["hub.verify_token"]) != ("subscribe", VERIFY):
            return PlainTextResponse("Forbidden", 403)
        return PlainTextResponse(asked["hub.challenge"])

    def updates(self, kind: str) -> list[dict[str, Any]]:
        """Every message or status, in order of arrival, repeats included."""
        return [
            item
            for body in self.bodies
            for entry in json.loads(body)["entry"]
            for change in entry["changes"]
            for item in change["value"].get(kind, [])
        ]


class _Server(uvicorn.Server):
    """Leaves the signal handlers of the test's own process alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    made = Receiver()
    listening = socket.create_server(("127.0.0.1", 0))
    made.url = f"http://127.0.0.1:{listening.getsockname()[1]}/webhook"
    routes = [
        Route("/webhook", made.post, methods=["POST"]),
        Route("/webhook", made.handshake, methods=["GET"]),
    ]
    server = _Server(uvicorn.Config(Starlette(routes=routes), log_level="error", lifespan="off"))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield made
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 60)


@contextlib.asynccontextmanager
async def running(callback_url: str, *options: str) -> AsyncIterator[httpx.AsyncClient]:
    """A sandbox process on a free port, and a client of it."""
    environment = {**os.environ, "SPAZA_WHATSAPP__APP_SECRET": SECRET, "SPAZA_WHATSAPP__VERIFY_TOKEN": VERIFY}
    arguments = ["-m", "cluster.sandbox", "--port", "0", "--callback-url", callback_url, "--log-level", "ERROR"]
    knobs = [part for knob in FAST for part in ("--knob", knob)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, *knobs, *options, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        address = re.search(r"http://\S+", line)
        assert address is not None, line
        async with httpx.AsyncClient(base_url=address[0], timeout=60) as client:
            yield client
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        # To the end of its output, so that nothing of it is left open.
        await asyncio.wait_for(process.communicate(), 60)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the other side is another process
            await asyncio.sleep(0.01)


def text(body: str = "Molo", **more: Any) -> dict[str, Any]:
    return {"messaging_product": "whatsapp", "to": "+27821234567", "type": "text", "text": {"body": body}, **more}


async def send(client: httpx.AsyncClient, **message: Any) -> httpx.Response:
    return await client.post(f"/v23.0/{NUMBER}/messages", json=text(**message), headers=TOKEN)
