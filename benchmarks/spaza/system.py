"""Spaza as a system: ``spaza up --no-demo`` on a data folder and ports of its own."""

import base64
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from benchmarks.handshake import wait_for_handshake
from benchmarks.merchants import APP_SECRET, VERIFY_TOKEN
from cluster.ports import free_ports
from cluster.process import spawn, stop
from cluster.ray_address import environment_to_join

_PATH = "/api/v1/webhooks/whatsapp"
_START_LIMIT_S = 180.0
_STOP_LIMIT_S = 20.0
_CONTROL_LIMIT_S = 120.0
_PLENTY = "1000000000"
# Of the first sign that the command line carries; Ray puts the actor's class or the replica's name into it.
_ROLES = (
    ("haproxy -", "HAProxy"),
    ("/haproxy", "HAProxy"),
    ("WhatsAppWebhook", "webhook"),
    ("WhatsAppProcessor", "processor"),
    ("Notifier", "notifier"),
    ("MailboxActor", "mailboxes"),
    ("mailbox:", "mailboxes"),
    ("ShardPoolActor", "shard pools"),
    ("shards:", "shard pools"),
    ("ServeController", "Serve"),
    ("ProxyActor", "Serve"),
    ("HAProxyManager", "Serve"),
    ("ray::", "Ray, other workers"),
    ("gcs_server", "Ray core"),
    ("raylet/raylet", "Ray core"),
    ("dashboard", "Ray dashboard"),
    ("runtime_env", "Ray dashboard"),
    ("log_monitor", "Ray dashboard"),
    ("ray/autoscaler", "Ray dashboard"),
    ("default_worker.py", "Ray, other workers"),
    ("postgres", "PostgreSQL"),
    ("redis-server", "Redis"),
    ("cluster.node", "node"),
    ("cluster", "supervisor"),
)


class SpazaSystem:
    """The platform, with its embedded servers. Owns ``directory`` as its data folder."""

    name = "spaza"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._log_path = directory.with_suffix(".log")
        self._ports = free_ports(3)
        self._secrets = {
            "SPAZA_ADMIN__TOKEN": secrets.token_hex(16),
            "SPAZA_SECRETS__KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        }
        self._graph_url = ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def webhook_url(self) -> str:
        return f"http://127.0.0.1:{self._ports[0]}{_PATH}"

    def prepare(self, graph_url: str) -> None:
        try:
            self.start(graph_url, 1)
            self._control("provision")
        finally:
            self.stop()

    def start(self, graph_url: str, http_processes: int) -> None:
        self._graph_url = graph_url
        # The command's entry point, whether or not it is installed where we run.
        entry = "import sys; from cluster.cli import main; sys.exit(main())"
        self._process = spawn(
            [sys.executable, "-c", entry, "up", "--no-demo"],
            log_path=self._log_path,
            environment={**self._environment(), "SPAZA_HTTP__WEBHOOK_REPLICAS": str(http_processes)},
        )
        wait_for_handshake(self.webhook_url, self._process, self._log_path, limit_s=_START_LIMIT_S)

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process, signal.SIGTERM, timeout_s=_STOP_LIMIT_S)

    def pause(self) -> None:
        self._control("pause")

    def resume(self) -> None:
        self._control("resume")

    def processes(self) -> list[psutil.Process]:
        if self._process is None or self._process.poll() is not None:
            return []
        # The supervisor adopts whatever its children leave behind, so that all are below it.
        supervisor = psutil.Process(self._process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def role(self, command_line: str) -> str:
        return next((role for sign, role in _ROLES if sign in command_line), "other")

    def _control(self, action: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "benchmarks.spaza.control", action],
            env={**self._environment(), **environment_to_join(self._directory.absolute())},
            timeout=_CONTROL_LIMIT_S,
            check=True,
        )

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SPAZA_")}
        http, dashboard, sandbox = self._ports
        return {
            **inherited,
            **self._secrets,
            "SPAZA_DATA_DIR": str(self._directory.absolute()),
            "SPAZA_HTTP__PORT": str(http),
            "SPAZA_DASHBOARD__PORT": str(dashboard),
            "SPAZA_SANDBOX__PORT": str(sandbox),
            "SPAZA_WHATSAPP__APP_SECRET": APP_SECRET,
            "SPAZA_WHATSAPP__VERIFY_TOKEN": VERIFY_TOKEN,
            "SPAZA_WHATSAPP__GRAPH_URL": self._graph_url,
            "SPAZA_LIMITS__MINUTE": _PLENTY,
            "SPAZA_LIMITS__HOUR": _PLENTY,
        }
