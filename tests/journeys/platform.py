"""A whole platform for the journeys: the real command in its own data folder and ports, and who talks to it."""

import asyncio
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
import orjson
import psutil

from cluster.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
APP_SECRET = "sandbox-app-secret"
PHONE_NUMBER_ID = "100000000000001"
START_LIMIT_S = 600.0
# It takes seconds, and of a busy machine more.
STOP_LIMIT_S = 180.0

T = TypeVar("T")


def signature(body: bytes, secret: str = APP_SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def text_message(sender: str, text: str, wamid: str, *, phone_number_id: str = PHONE_NUMBER_ID) -> bytes:
    """One text as Meta sends it."""
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "27110000001", "phone_number_id": phone_number_id},
        "contacts": [{"profile": {"name": "Zanele"}, "wa_id": sender}],
        "messages": [
            {
                "from": sender,
                "id": wamid,
                "timestamp": str(int(time.time())),
                "type": "text",
                "text": {"body": text},
            }
        ],
    }
    change = {"field": "messages", "value": value}
    return orjson.dumps(
        {"object": "whatsapp_business_account", "entry": [{"id": "200000000000001", "changes": [change]}]}
    )


class Platform:
    """One running instance of Spaza. Owns its process; `stop` is called however a test ends."""

    def __init__(self, data_dir: Path, *, environment: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.http_port, self.dashboard_port, self.sandbox_port = free_ports(3)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SPAZA_")},
            "SPAZA_DATA_DIR": str(data_dir),
            "SPAZA_HTTP__PORT": str(self.http_port),
            "SPAZA_DASHBOARD__PORT": str(self.dashboard_port),
            "SPAZA_SANDBOX__PORT": str(self.sandbox_port),
            **(environment or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.output = data_dir.parent / f"{data_dir.name}.out"

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def webhook(self) -> str:
        return f"{self.api}/api/v1/webhooks/whatsapp"

    @property
    def sandbox(self) -> str:
        return f"http://127.0.0.1:{self.sandbox_port}"

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command line beside the instance."""
        return subprocess.run(
            [sys.executable, "-m", "cluster.cli", *arguments],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    def launch(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `spaza up` without waiting for it."""
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cluster.cli", "up", *arguments],
                cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        return self.process

    def start(self, *arguments: str) -> None:
        """Start and wait until `spaza status` says ready."""
        process = self.launch(*arguments)
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise AssertionError(f"spaza up ended with {process.returncode}:\n{self.printed()}")
            if self.status()["ready"]:
                return
            time.sleep(0.5)
        raise AssertionError(f"not ready within {START_LIMIT_S:.0f} s:\n{self.status()}\n{self.printed()}")

    def becomes(self, holds: Callable[[dict[str, Any]], bool], *, limit_s: float = 300.0) -> dict[str, Any]:
        """Ask for the status until it is as it should be; then what it is. A part may be slow for a moment."""
        deadline = time.monotonic() + limit_s
        while not holds(status := self.status()):
            assert time.monotonic() < deadline, f"not within {limit_s:.0f} s: {status}"
            time.sleep(0.5)
        return status

    def status(self) -> dict[str, Any]:
        answer = self.command("status", "--json")
        parsed: dict[str, Any] = json.loads(answer.stdout)
        assert answer.returncode == (0 if parsed["ready"] else 3), answer
        return parsed

    async def settled(self, *, limit_s: float) -> None:
        """Wait until no mailbox holds anything that waits or is in flight."""
        deadline = time.monotonic() + limit_s
        while True:
            queues = (await asyncio.to_thread(self.status))["figures"].get("mailboxes", {})
            if queues and all(one.get("waiting") == 0 and one.get("in_flight") == 0 for one in queues.values()):
                return
            assert time.monotonic() < deadline, f"not settled within {limit_s:.0f} s: {queues}"
            await asyncio.sleep(1)

    def printed(self) -> str:
        return self.output.read_text(errors="replace")[-8000:] if self.output.exists() else ""

    def descendants(self) -> list[psutil.Process]:
        assert self.process is not None
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def each(self, ask: Callable[[psutil.Process], T]) -> list[tuple[psutil.Process, T]]:
        """What each of our processes answers; those that end meanwhile are left out."""
        answers = []
        for process in self.descendants():
            with suppress(psutil.NoSuchProcess):
                answers.append((process, ask(process)))
        return answers

    def find(self, *parts: str) -> list[psutil.Process]:
        """Our processes whose command line or title holds all of the given parts, the one that began first first.

        One that has been forked and has not become another program yet looks like the one that forked it.
        """
        lines = self.each(lambda process: (process.create_time(), f"{process.name()} {' '.join(process.cmdline())}"))
        found = [(began, process) for process, (began, line) in lines if all(part in line for part in parts)]
        return [process for _, process in sorted(found, key=lambda one: (one[0], one[1].pid))]

    def there(self, *parts: str) -> list[psutil.Process]:
        """What `find` finds, once that is something."""
        deadline = time.monotonic() + 120.0
        while not (found := self.find(*parts)):
            assert time.monotonic() < deadline, f"no process of {parts} was found"
            time.sleep(0.1)
        return found

    def kill(self, *parts: str) -> list[psutil.Process]:
        """Kill what `find` finds, of which there must be something."""
        found = self.there(*parts)
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        return found

    def stop(self, *, within_s: float = STOP_LIMIT_S) -> float:
        """End it as Ctrl-C does. Returns the seconds it took; kills what is left and fails if anything was."""
        if self.process is None:
            return 0.0
        running, family = self.process, self.descendants()
        self.process = None
        started = time.monotonic()
        if running.poll() is None:
            running.send_signal(signal.SIGINT)
        try:
            running.wait(within_s)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait(60)
        took = time.monotonic() - started
        names = left_of(family)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        assert not names, f"left behind: {names}"
        return took


def left_of(family: Sequence[psutil.Process], *, limit_s: float = 120.0) -> list[str]:
    """Which of these processes have not ended by then."""
    _, left = psutil.wait_procs(family, timeout=limit_s)
    names = []
    for process in left:
        # It may end yet, and another may have its number by now.
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                names.append(f"{process.pid} {process.name()}")
    return names


async def post_signed(client: httpx.AsyncClient, url: str, body: bytes, **headers: str) -> httpx.Response:
    """Post once, whatever becomes of it."""
    signed = {"X-Hub-Signature-256": signature(body), "Content-Type": "application/json", **headers}
    return await client.post(url, content=body, headers=signed)


async def answer_to(
    client: httpx.AsyncClient,
    url: str,
    body: bytes,
    *,
    limit_s: float = 600.0,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """What a signed post is answered when it is not put off: what is not committed in time is 503 and comes again."""
    deadline, tries = time.monotonic() + limit_s, 0
    while True:
        tries, answer = tries + 1, None
        with suppress(httpx.TransportError):
            answer = await post_signed(client, url, body, **(headers or {}))
        if answer is not None and answer.status_code != 503:
            return answer
        assert time.monotonic() < deadline, f"put off for {limit_s:.0f} s and {tries} tries: {answer}"
        await asyncio.sleep(min(0.2 * tries, 2.0))


async def deliver(client: httpx.AsyncClient, url: str, body: bytes, *, limit_s: float = 600.0) -> int:
    """Post as Meta does: again until it is answered 200. Returns how many tries it took."""
    deadline, tries = time.monotonic() + limit_s, 0
    while time.monotonic() < deadline:
        tries += 1
        with suppress(httpx.TransportError):
            if (await post_signed(client, url, body)).status_code == 200:
                return tries
        await asyncio.sleep(min(0.2 * tries, 2.0))
    raise AssertionError(f"not answered 200 within {limit_s:.0f} s and {tries} tries")


async def outbox(client: httpx.AsyncClient, sandbox: str, **query: str) -> list[dict[str, Any]]:
    """All that the sandbox was given to send, oldest first."""
    found: list[dict[str, Any]] = []
    after = 0
    while True:
        answer = await client.get(f"{sandbox}/sandbox/outbox", params={**query, "after": after, "limit": 1000})
        answer.raise_for_status()
        page = answer.json()
        if not page["messages"]:
            return found
        found += page["messages"]
        after = page["next"]


async def replies_to(
    client: httpx.AsyncClient, sandbox: str, customers: Sequence[str], *, limit_s: float
) -> dict[str, list[dict[str, Any]]]:
    """Wait until each customer has had a reply; then what each has had, `+` stripped."""
    deadline = time.monotonic() + limit_s
    while True:
        had: dict[str, list[dict[str, Any]]] = {customer: [] for customer in customers}
        for message in await outbox(client, sandbox):
            had.setdefault(str(message["to"]).removeprefix("+"), []).append(message)
        if all(had[customer] for customer in customers) or time.monotonic() > deadline:
            return had
        await asyncio.sleep(0.5)
