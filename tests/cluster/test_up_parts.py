"""What ``spaza up`` stands on, with real processes: servers, ports, what ends what, the printed command."""

import asyncio
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest
import redis.asyncio

from cluster.descendants import Undertaker, marked_environment
from cluster.errors import AddressError, PortTakenError, ServerTooSmallError, ServerUnreachableError
from cluster.given_servers import GivenPostgres, GivenRedis
from cluster.next_thing import next_thing
from cluster.node_environment import pick_ports
from cluster.parts import EmbeddedPostgres, EmbeddedRedis, Sandbox
from cluster.ports import free_blocks, free_port, refuse_taken
from cluster.postgres import PostgresServer, start_postgres
from cluster.redis_server import RedisServer, start_redis
from cluster.sandbox.knobs import Knobs
from config.settings import load_settings
from config.topology_file import load_topology


class AlwaysWell(BaseHTTPRequestHandler):
    """Answers 200, whoever asks for whatever."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


@pytest.fixture
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("r")


async def test_postgres_keeps_its_data_over_a_crash_and_has_a_database_for_each_shard(
    tmp_path: Path, run_dir: Path
) -> None:
    server = start_postgres(tmp_path, run_dir)
    connection = await asyncpg.connect(server.database_dsn("shard_31"))
    await connection.execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (42)")
    await connection.close()
    os.kill(server.pid, signal.SIGKILL)

    again = start_postgres(tmp_path, run_dir)
    try:
        connection = await asyncpg.connect(again.database_dsn("shard_31"))
        assert await connection.fetchval("SELECT id FROM kept") == 42
        shards = await connection.fetchval("SELECT count(*) FROM pg_database WHERE datname ~ '^shard_[0-3][0-9]$'")
        assert shards == 32
        await connection.close()
    finally:
        again.stop()
        server.stop()


async def test_postgres_wants_the_password(tmp_path: Path, run_dir: Path) -> None:
    server = start_postgres(tmp_path, run_dir)
    try:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(
                host="127.0.0.1", port=server.port, user="spaza", password="wrong", database="postgres"
            )
    finally:
        server.stop()


async def test_postgres_comes_back_on_the_port_that_its_clients_know_once_that_is_free(
    tmp_path: Path, run_dir: Path
) -> None:
    server = start_postgres(tmp_path, run_dir)
    port = server.port
    server.stop()
    with socket.socket() as squatter:
        # Connections of before that still close are no hindrance, as for the server itself.
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        coming_up = server.coming_up(timeout_s=180)
        # Until it has given up once, and begins again.
        given_up = False
        while not given_up:
            pause_s = next(coming_up)
            given_up = server.process is not None and server.process.poll() is not None
            await asyncio.sleep(pause_s)

    try:
        for pause_s in coming_up:
            await asyncio.sleep(pause_s)
        assert server.port == port
        await (await asyncpg.connect(server.tcp_dsn)).close()
    finally:
        server.stop()


async def test_the_postgres_of_an_instance_listens_on_its_socket_alone(tmp_path: Path, run_dir: Path) -> None:
    part = EmbeddedPostgres(PostgresServer(tmp_path, run_dir, databases=()))
    await part.start()
    try:
        connection = await asyncpg.connect(part.server.database_dsn("postgres"))
        assert await connection.fetchval("SHOW listen_addresses") == ""
        await connection.close()
    finally:
        await part.stop(timeout_s=5.0)


async def test_redis_keeps_its_data_over_a_restart(tmp_path: Path, run_dir: Path) -> None:
    server = start_redis(tmp_path, run_dir)
    async with redis.asyncio.from_url(server.url) as client:
        await client.set("kept", "42")
    server.stop()

    server.start()
    try:
        async with redis.asyncio.from_url(server.url) as client:
            assert await client.get("kept") == b"42"
    finally:
        server.stop()


def test_a_server_ends_with_the_process_that_started_it(tmp_path: Path, run_dir: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from cluster.redis_server import start_redis;"
        f"print(start_redis(Path({str(tmp_path)!r}), Path({str(run_dir)!r})).pid, flush=True); time.sleep(600)"
    )
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    server = psutil.Process(int(starter.stdout.readline()))

    starter.kill()
    starter.communicate()

    assert psutil.wait_procs([server], timeout=60)[1] == []


def test_a_taken_port_names_its_holder() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]

        with pytest.raises(PortTakenError, match=str(os.getpid())) as raised:
            refuse_taken(port, purpose="the API", setting="SPAZA_HTTP__PORT")

    assert "SPAZA_HTTP__PORT" in str(raised.value)


@pytest.mark.parametrize("host", ["nonsense.invalid", "203.0.113.1"])
def test_a_host_that_is_not_of_this_machine_names_its_setting(host: str) -> None:
    with pytest.raises(AddressError, match=f"{host}.*SPAZA_HTTP__HOST"):
        refuse_taken(free_port(), purpose="the API", setting="SPAZA_HTTP__PORT", host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_free_port_of_this_machine_is_not_refused(host: str) -> None:
    refuse_taken(free_port(), purpose="the API", setting="SPAZA_HTTP__PORT", host=host)


async def test_a_stranger_on_the_sandboxs_port_is_not_taken_for_the_sandbox(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), AlwaysWell) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        sandbox = Sandbox(stranger.server_address[1], "http://127.0.0.1:1/webhook", tmp_path, os.environ)

        with pytest.raises(PortTakenError, match="SPAZA_SANDBOX__PORT") as raised:
            await sandbox.start()

        stranger.shutdown()
    assert f"pid {os.getpid()}" in str(raised.value)


def test_blocks_of_ports_are_free_and_apart() -> None:
    ports = [port for first in free_blocks(3, 64) for port in range(first, first + 64)]

    assert len(set(ports)) == 3 * 64
    for port in ports:
        refuse_taken(port, purpose="a replica", setting="none")


def test_a_process_is_not_given_a_port_twice_and_none_that_the_system_gives_to_connections() -> None:
    found = [free_port() for _ in range(200)]

    assert len(set(found)) == 200
    assert max(found) < _first_of_connections()
    for port in found:
        refuse_taken(port, purpose="a server", setting="none")


def test_ports_that_somebody_has_chosen_are_left_alone() -> None:
    chosen = range(20_000, 30_000)

    ports = pick_ports(chosen)

    assert len(set(ports.values())) == len(ports)
    assert min(ports.values()) >= chosen.stop


def _first_of_connections() -> int:
    told = Path("/proc/sys/net/ipv4/ip_local_port_range")
    return int(told.read_text().split()[0]) if told.exists() else 32_768


@pytest.mark.parametrize("last_word", [True, False])
def test_the_undertaker_ends_what_is_left_unless_told_that_all_is_in_order(last_word: bool) -> None:
    undertaker = Undertaker("a-test-instance")
    # A grandchild that nobody knows of, as HAProxy is.
    sleeper = subprocess.Popen(
        ["/bin/sh", "-c", "sleep 600 & wait"], env=marked_environment("a-test-instance", os.environ),
        start_new_session=True,
    )  # fmt: skip
    _wait_for_children(sleeper.pid)
    family = [psutil.Process(sleeper.pid), *psutil.Process(sleeper.pid).children()]

    if last_word:
        undertaker.dismiss()
        time.sleep(0.2)
        assert sleeper.poll() is None
        os.killpg(sleeper.pid, signal.SIGKILL)
    else:
        watching = undertaker._process
        assert watching.stdin is not None
        watching.stdin.close()
        watching.wait(60)
    sleeper.wait(60)

    assert psutil.wait_procs(family, timeout=60)[1] == []


def _wait_for_children(pid: int) -> None:
    deadline = time.monotonic() + 60
    while not psutil.Process(pid).children() and time.monotonic() < deadline:
        time.sleep(0.02)


async def test_given_servers_that_do_not_answer_are_named_by_their_setting() -> None:
    port = free_port()

    with pytest.raises(ServerUnreachableError, match="SPAZA_POSTGRES__DSN"):
        await GivenPostgres(f"postgresql://me:secret@127.0.0.1:{port}/", load_topology(), 4).start()
    with pytest.raises(ServerUnreachableError, match="SPAZA_REDIS__URL") as raised:
        await GivenRedis(f"redis://:secret@127.0.0.1:{port}/0").start()

    assert "secret" not in str(raised.value)


async def test_a_given_postgres_with_too_few_connections_is_refused_with_the_figure_it_needs(
    tmp_path: Path, run_dir: Path
) -> None:
    server = start_postgres(tmp_path, run_dir, tuning={"max_connections": "60"})
    try:
        given = GivenPostgres(server.tcp_dsn, load_topology(), 4)
        with pytest.raises(ServerTooSmallError, match=r"max_connections = 60.*Raise .* to [0-9]{3}") as raised:
            await given.start()
        await _is_well(given)
    finally:
        server.stop()

    assert raised.value.left == 57
    assert (await given.trouble() or "").startswith("does not answer")


async def _is_well(part: EmbeddedPostgres | EmbeddedRedis | GivenPostgres) -> None:
    """Which a server of a busy machine may seem not to be for a moment."""
    async with asyncio.timeout(120):
        while await part.trouble() is not None:
            pass


async def test_a_server_that_stands_still_is_in_trouble_until_it_goes_on(tmp_path: Path, run_dir: Path) -> None:
    postgres = EmbeddedPostgres(PostgresServer(tmp_path, run_dir, databases=()))
    cache = EmbeddedRedis(RedisServer(tmp_path, run_dir))
    parts: list[EmbeddedPostgres | EmbeddedRedis] = [postgres, cache]
    for part in parts:
        await part.start()
    try:
        for part in parts:
            assert part.process is not None
            await _is_well(part)
            part.process.send_signal(signal.SIGSTOP)
            assert await part.trouble() == "runs, and does not answer"
            part.process.send_signal(signal.SIGCONT)
            await _is_well(part)
    finally:
        for part in parts:
            await part.stop(timeout_s=5.0)


async def test_the_sandbox_takes_a_rush_unless_it_is_told_to_limit_as_meta_does(tmp_path: Path) -> None:
    port = free_port()
    sandbox = Sandbox(port, "http://127.0.0.1:1/webhook", tmp_path, os.environ)
    await sandbox.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            started_with = (await client.get("/sandbox/knobs")).json()
            limited = (await client.put("/sandbox/knobs", json={"pair_limit": True, "throughput_mps": 80})).json()
            put_back = (await client.delete("/sandbox/knobs")).json()
    finally:
        await sandbox.stop(timeout_s=3)

    assert (started_with["pair_limit"], started_with["throughput_mps"]) == (False, 1000)
    assert limited == Knobs().model_dump(mode="json")
    assert put_back == started_with


def test_the_printed_command_signs_exactly_what_it_sends(tmp_path: Path) -> None:
    printed = next_thing(load_settings({}, demo_key="k" * 43 + "="), "http://127.0.0.1:8000", demo=True)
    # The shell does all but the sending.
    script = printed.partition("BODY=")[2].partition("  curl")[0]
    script = f'BODY={script}\nprintf \'%s\\n%s\' "$SIGNATURE" "$BODY"'

    said = subprocess.run(["sh", "-c", script], capture_output=True, check=True, timeout=60, cwd=tmp_path).stdout

    signature, _, body = said.partition(b"\n")
    assert signature.decode() == hmac.new(b"sandbox-app-secret", body, hashlib.sha256).hexdigest()
    message = json.loads(body)["entry"][0]["changes"][0]["value"]["messages"][0]
    assert message["text"] == {"body": "Hello"}
    assert message["id"].startswith("wamid.")


@pytest.mark.parametrize("output", ["a reader that has gone", "a full disk"])
def test_a_program_goes_on_printing_when_its_output_is_gone_and_ends_well(output: str) -> None:
    program = (
        "import sys; from cluster.screen import Screen; screen = Screen(); screen.begin('/data');"
        "sys.stdin.read(); [screen.warn('x' * 5000) for _ in range(9)]; screen.ended(1.0); print('on', file=sys.stderr)"
    )
    stdout = subprocess.PIPE if output == "a reader that has gone" else os.open("/dev/full", os.O_WRONLY)
    running = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE, text=True
    )
    if running.stdout is not None:
        running.stdout.readline()
        running.stdout.close()
        running.stdout = None

    _, said = running.communicate(timeout=120)

    assert (running.returncode, said) == (0, "on\n")
