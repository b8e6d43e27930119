"""``serve run serve_app:app`` on a Ray cluster and servers that are given, and once more with changed code."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest

from cluster.ports import free_port
from tests.journeys.platform import ROOT, deliver, text_message
from tests.servers import postgres, redis

pytestmark = pytest.mark.timeout(1800)
_PACKAGES = ("actors", "cache", "config", "gateway", "integrations", "kernel", "services", "telemetry")
_RAY = Path(sys.executable).with_name("ray")
_SERVE = Path(sys.executable).with_name("serve")
_TOKEN = "an-admin-token"
_ANOTHER_QUEUE = """
queues:
  audit:
    bindings: [{exchange: whatsapp.messages, routing_key: "inbound.*"}]
    dlx: null
    partition_by: key
    partitions: 1

"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the program, which a test may change."""
    folder = tmp_path_factory.mktemp("source")
    for name in _PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "serve_app.py", folder)
    return folder


class Cluster(NamedTuple):
    """A Ray cluster, a PostgreSQL and a Redis, all started by somebody else.

    Attributes:
        environment: of whoever deploys there.
        pid: of Ray's first process.
    """

    environment: Mapping[str, str]
    pid: int

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.environment['SPAZA_HTTP__PORT']}"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    base, port = Path(tempfile.mkdtemp(prefix="ray")), free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SPAZA_", "RAY_"))}
    # Without it Ray takes the machine's address for 127.0.0.1, and listens for strangers.
    clean["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    arguments = [
        "start", "--head", "--block", "--node-ip-address=127.0.0.1", "--num-cpus=4",
        f"--port={port}", f"--dashboard-port={free_port()}",
        "--dashboard-agent-listen-port=0", f"--temp-dir={base / 'ray'}", "--object-store-memory=100000000",
    ]  # fmt: skip
    with postgres(base / "pg") as database, redis(base / "redis") as cache:
        with (base / "ray.out").open("wb") as output:
            ray = subprocess.Popen(
                [str(_RAY), *arguments], env=clean, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            environment = {
                **clean,
                "RAY_AUTH_MODE": "token",
                "RAY_ADDRESS": f"127.0.0.1:{port}",
                "SPAZA_POSTGRES__DSN": database.dsn,
                "SPAZA_REDIS__URL": cache.url,
                "SPAZA_HTTP__PORT": str(free_port()),
                "SPAZA_WHATSAPP__APP_SECRET": "sandbox-app-secret",
                "SPAZA_WHATSAPP__VERIFY_TOKEN": "a-verify-token",
                "SPAZA_WHATSAPP__GRAPH_URL": "http://127.0.0.1:9",
                "SPAZA_ADMIN__TOKEN": _TOKEN,
                "SPAZA_SECRETS__KEY": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=",
            }
            yield Cluster(environment, ray.pid)
        finally:
            family = psutil.Process(ray.pid).children(recursive=True)
            ray.terminate()
            psutil.wait_procs([psutil.Process(ray.pid), *family], timeout=60)
            for process in [psutil.Process(ray.pid), *family] if ray.poll() is None else family:
                with suppress(psutil.Error):
                    process.kill()
            ray.wait(60)
            shutil.rmtree(base, ignore_errors=True)


def _deploy(source: Path, cluster: Cluster) -> None:
    deadline = time.monotonic() + 300
    while True:
        done = subprocess.run(
            [str(_SERVE), "run", "--non-blocking", "serve_app:app"],
            cwd=source, env=dict(cluster.environment), capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return
        # The cluster may be still starting.
        assert time.monotonic() < deadline, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        time.sleep(2)


def _shard_pools(cluster: Cluster) -> set[int]:
    """The processes that own the connections to the shards."""
    found = set()
    for process in psutil.Process(cluster.pid).children(recursive=True):
        with suppress(psutil.Error):
            if "ray::ShardPoolActor" in " ".join(process.cmdline()):
                found.add(process.pid)
    return found


async def _until(api: str, path: str, holds: Callable[[Any], bool], *, limit_s: float = 300) -> Any:
    """What an operator is answered, once it is as it should be: a replica of before may answer yet, or none."""
    deadline = time.monotonic() + limit_s
    async with httpx.AsyncClient(timeout=120, headers={"Authorization": f"Bearer {_TOKEN}"}) as client:
        while True:
            seen: Any = None
            with suppress(httpx.TransportError, ValueError):
                seen = (await client.get(f"{api}{path}")).json()
                if holds(seen):
                    return seen
            assert time.monotonic() < deadline, seen
            await asyncio.sleep(1)


async def _figures(api: str, *, of: str = "whatsapp.inbound") -> dict[str, Any]:
    """Of each queue, once that one is among them and all have an owner."""

    def are_owned(seen: Any) -> bool:
        queues = {one["queue"]: one["state"] for one in seen.get("queues", ())}
        return of in queues and set(queues.values()) == {"owning"}

    seen = await _until(api, "/api/v1/mailboxes", are_owned)
    return {one["queue"]: one for one in seen["queues"]}


async def _ready(api: str, *, limit_s: float = 400) -> None:
    deadline = time.monotonic() + limit_s
    async with httpx.AsyncClient(timeout=120) as client:
        while True:
            try:
                answer = await client.get(f"{api}/readyz")
                if answer.status_code == 200:
                    return
                seen = answer.text
            except httpx.TransportError as error:
                seen = repr(error)
            assert time.monotonic() < deadline, seen
            await asyncio.sleep(1)


async def test_it_serves_on_the_port_of_the_settings_and_a_changed_program_replaces_the_old_one(
    source: Path, cluster: Cluster
) -> None:
    api, webhook = cluster.api, f"{cluster.api}/api/v1/webhooks/whatsapp"

    _deploy(source, cluster)
    await _ready(api)
    async with httpx.AsyncClient(timeout=120) as client:
        await deliver(client, webhook, text_message("27821110001", "Hi", "wamid.RUN1"))
        missing = await client.get(f"{api}/nothing")
    before, owners = await _figures(api), _shard_pools(cluster)

    # As a next release may have it: another queue, another unit of work, another word.
    queues, front = source / "config" / "queues.yaml", source / "services" / "ops" / "front.py"
    queues.write_text(queues.read_text().replace("\nqueues:\n", _ANOTHER_QUEUE, 1))
    front.write_text(front.read_text().replace("This is Spaza", "This is the next Spaza"))
    _deploy(source, cluster)
    await _ready(api)
    async with httpx.AsyncClient(timeout=120) as client:
        await deliver(client, webhook, text_message("27821110001", "Hi", "wamid.RUN2"))
    await _until(api, "/", lambda seen: "next Spaza" in seen.get("message", ""))
    after = await _figures(api, of="audit")
    async with asyncio.timeout(300):
        # What was replaced ends when its last work is done.
        while len(_shard_pools(cluster)) != 2 or owners & _shard_pools(cluster):  # noqa: ASYNC110 - Ray tells nobody
            await asyncio.sleep(0.2)

    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/json")
    assert after.keys() - before.keys() == {"audit"}
    assert len(owners) == 2
