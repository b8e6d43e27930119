"""``spaza up`` from outside: it starts, refuses what cannot be, mends what dies, and leaves nothing behind."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.journeys.platform import ROOT, START_LIMIT_S, STOP_LIMIT_S, Platform, left_of

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    running = Platform(tmp_path_factory.mktemp("up") / "data")
    try:
        running.start()
        yield running
    finally:
        running.stop()


# So long a dawdler may keep a connection.
_DAWDLE_S = 10.0
_PARTS = {"PostgreSQL", "Redis", "Sandbox", "Node", "Shard pools", "Mailboxes", "Rate limiters", "API"}


def _get(address: str, *, timeout: float = 120.0, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.get(address, timeout=timeout, headers=headers)


def _eventually(holds: Callable[[], bool], *, limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def test_every_part_runs_and_says_so(platform: Platform) -> None:
    status = platform.becomes(
        lambda status: {part["state"] for part in status["parts"]} == {"running"} and "mailboxes" in status["figures"]
    )

    assert {part["name"] for part in status["parts"]} >= _PARTS
    assert "whatsapp.inbound" in status["figures"]["mailboxes"]


def test_what_to_try_next_is_printed_with_where_things_run(platform: Platform) -> None:
    printed = platform.printed()

    for expected in (platform.api, platform.sandbox, f":{platform.dashboard_port}", "openssl dgst -sha256 -hmac"):
        assert expected in printed


def test_metrics_are_where_the_table_says_in_the_form_of_prometheus(platform: Platform) -> None:
    address = f"http://127.0.0.1:{platform.status()['ports']['metrics']}/metrics"

    assert address in platform.printed()
    assert address in platform.command("status").stdout
    # Ray's processes report every ten seconds.
    names = ("ray_spaza_mailbox_waiting", "ray_spaza_shard_units_total")

    def are_told() -> bool:
        with suppress(httpx.TransportError):
            text = _get(address).text
            return all(name in text for name in names)
        return False

    assert _eventually(are_told, limit_s=300)


def test_what_is_not_there_is_json_and_a_newcomer_and_a_health_check_are_answered(platform: Platform) -> None:
    missing, newcomer = _get(f"{platform.api}/nothing"), _get(f"{platform.api}/")
    live = _get(f"{platform.api}/healthz")

    def is_ready() -> bool:
        # A part may be slow to answer, and is asked again.
        ready = _get(f"{platform.api}/readyz")
        return ready.status_code == 200 and ready.json()["ready"] is True

    assert (missing.status_code, missing.json()["message"]) == (404, "Not found")
    assert missing.json()["request_id"] == missing.headers["x-correlation-id"] == missing.headers["x-request-id"]
    assert _get(f"{platform.api}/x", headers={"X-Correlation-ID": "mine"}).headers["x-request-id"] == "mine"
    assert (newcomer.status_code, live.json()) == (200, {"status": "ok"})
    assert _eventually(is_ready, limit_s=180)


_ANOTHER_PROGRAM = """
import asyncio
import ray
from ray import serve

async def ask():
    return await serve.get_deployment_handle("WhatsAppProcessor", "whatsapp-processor").consume.remote([])

ray.init(namespace="spaza", log_to_driver=False)
print(asyncio.run(ask()))
"""


def test_another_program_joins_with_the_environment_that_the_command_prints(platform: Platform) -> None:
    exports = platform.command("env").stdout

    called = subprocess.run(
        ["sh", "-c", f"{exports}exec {sys.executable} -"],
        input=_ANOTHER_PROGRAM, env=platform.environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip

    assert (called.returncode, called.stdout) == (0, "[]\n"), called.stderr


def test_the_dashboard_wants_the_token_that_the_printed_command_prints(platform: Platform) -> None:
    (command,) = re.findall(r"its token: (\S+) get-auth-token", platform.printed())
    token = subprocess.run([command, "get-auth-token"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    nodes = f"http://127.0.0.1:{platform.dashboard_port}/nodes?view=summary"

    assert _get(nodes).status_code == 401
    assert _get(nodes, headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_a_second_start_in_the_same_folder_names_the_first(platform: Platform) -> None:
    assert platform.process is not None

    second = platform.command("up")

    assert second.returncode == 1
    assert str(platform.process.pid) in second.stderr
    assert "SPAZA_DATA_DIR" in second.stderr
    assert _eventually(lambda: bool(platform.status()["ready"]), limit_s=180)


def test_a_taken_port_names_who_has_it_and_the_setting(platform: Platform, tmp_path: Path) -> None:
    beside = Platform(tmp_path / "data", environment={"SPAZA_SANDBOX__PORT": str(platform.sandbox_port)})

    refused = beside.command("up")

    assert refused.returncode == 1
    assert "SPAZA_SANDBOX__PORT" in refused.stderr
    assert "pid" in refused.stderr


@pytest.mark.parametrize("part", ["redis-server", "cluster.sandbox", "postgres"])
def test_a_server_that_is_killed_is_started_again(platform: Platform, part: str) -> None:
    # Of PostgreSQL's processes the one that has forked the others.
    killed, *_ = platform.there(part)
    killed.kill()

    assert _eventually(lambda: not killed.is_running() and bool(platform.find(part)), limit_s=300)
    assert _eventually(lambda: bool(platform.status()["ready"]), limit_s=300)


def _said(connection: socket.socket, expected: bytes) -> bytes:
    """What comes over a connection, until it holds what is expected or ends."""
    said = b""
    while expected not in said:
        try:
            part = connection.recv(4096)
        except ConnectionError:  # it is closed with something unread
            break
        if not part:
            break
        said += part
    return said


def test_connections_that_dawdle_are_closed_and_keep_nobody_out(platform: Platform) -> None:
    head = b"POST /api/v1/mailboxes HTTP/1.1\r\nHost: localhost\r\n"
    with ExitStack() as open_ones:
        # More than a replica takes at once, with those that wait for it.
        dawdlers = [
            open_ones.enter_context(socket.create_connection(("127.0.0.1", platform.http_port), timeout=120))
            for _ in range(150)
        ]
        for number, dawdler in enumerate(dawdlers):
            dawdler.sendall(head if number == 0 else head + b"Content-Length: 9\r\n\r\n")
        alive = _get(f"http://127.0.0.1:{platform.http_port}/healthz", timeout=_DAWDLE_S)
        told = b'{"message":"The request did not arrive in time","request_id":"'
        answers = [_said(dawdlers[0], b"HTTP/1.1 408 "), _said(dawdlers[1], told)]

    assert alive.status_code == 200
    assert [answer[:13] for answer in answers] == [b"HTTP/1.1 408 "] * 2
    assert told in answers[1]


def test_a_body_beyond_haproxys_buffer_that_dawdles_keeps_nobody_out_either(platform: Platform) -> None:
    sent = b"HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\n" + b"x" * 40_000
    with ExitStack() as open_ones:
        dawdlers = [
            open_ones.enter_context(socket.create_connection(("127.0.0.1", platform.http_port), timeout=120))
            for _ in range(150)
        ]
        for dawdler in dawdlers:
            with suppress(ConnectionError):  # it may be answered, and closed, before all is sent
                dawdler.sendall(b"POST /api/v1/mailboxes/a/purge " + sent)
        alive = _get(f"http://127.0.0.1:{platform.http_port}/healthz", timeout=_DAWDLE_S)
        answers = [_said(dawdler, b"HTTP/1.1 401 ") for dawdler in dawdlers[:40]]

    assert alive.status_code == 200
    assert {answer[:13] for answer in answers} == {b"HTTP/1.1 401 "}


def test_only_replicas_listen_beyond_this_machine(platform: Platform) -> None:
    # Name and connections are asked in one look, for one of many may end at any moment.
    seen = platform.each(lambda process: (process.name(), process.net_connections("inet")))
    listening = [
        (name, one.laddr.ip)
        for _, (name, connections) in seen
        for one in connections
        if one.status == psutil.CONN_LISTEN
    ]
    beyond = [name for name, address in listening if not address.endswith("127.0.0.1")]

    assert {"haproxy", "gcs_server"} <= {name for name, _ in listening}
    # Serve's own port for calls among deployments, for which there is no setting.
    assert [name for name in beyond if not name.startswith("ray::ServeRepli")] == []


@pytest.mark.parametrize("part", ["raylet/raylet", "gcs/gcs_server"])
def test_a_node_without_a_vital_process_of_ray_is_started_again(platform: Platform, part: str) -> None:
    # What it forks looks like it until it is another program.
    killed, *_ = platform.there(part)
    begun = platform.output.stat().st_size
    killed.kill()

    def is_noticed() -> bool:
        said = platform.output.read_bytes()[begun:].decode(errors="replace")
        return "Ray's " in said and "it is started again" in said

    assert _eventually(is_noticed, limit_s=300)
    assert _eventually(lambda: bool(platform.status()["ready"]), limit_s=START_LIMIT_S)


def test_a_killed_haproxy_is_back_and_never_says_that_the_webhook_is_not_there(platform: Platform) -> None:
    answers: set[tuple[int, str | None]] = set()

    def answers_again() -> bool:
        try:
            answer = _get(platform.webhook, timeout=30)
        except httpx.TransportError:
            return False
        answers.add((answer.status_code, answer.headers.get("retry-after")))
        return answer.status_code == 403

    platform.kill("haproxy.cfg")

    assert _eventually(answers_again, limit_s=300)
    assert answers <= {(503, "2"), (403, None)}


def test_killing_the_supervisor_leaves_no_process_and_the_next_start_is_clean(platform: Platform) -> None:
    assert platform.process is not None
    family = platform.descendants()
    platform.process.kill()
    platform.process.wait(60)

    assert left_of(family) == []
    stopped = platform.status()
    assert [part["state"] for part in stopped["parts"]] == ["stopped"]

    platform.start()

    assert _eventually(lambda: bool(platform.status()["ready"]), limit_s=180)


def test_an_interrupt_ends_all_of_it_in_time(platform: Platform) -> None:
    # Fails by itself if a process is left.
    took_s = platform.stop()

    assert took_s < STOP_LIMIT_S
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", platform.http_port), timeout=60)


def test_a_lost_sealing_key_is_told_at_the_start_and_found_again_all_goes_on(platform: Platform) -> None:
    key = platform.data_dir / "secrets.key"
    kept = key.rename(key.with_suffix(".kept"))

    refused = platform.command("up")

    assert refused.returncode == 1
    assert "SPAZA_SECRETS__KEY" in refused.stderr
    kept.rename(key)
    # Which waits until it is ready.
    platform.start()
