"""RabbitMQ for the peer: Debian's server on loopback, with files, ports, cookie and node name of its own."""

import os
import secrets
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from cluster.ports import free_ports
from cluster.process import last_lines, spawn, stop, wait_until

_CANDIDATES = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "/usr/local/sbin/rabbitmq-server", "/usr/sbin/rabbitmq-server")
_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 20.0


def find_rabbitmq() -> str | None:
    """The server's own start script; None where it is not installed.

    Debian's ``/usr/sbin/rabbitmq-server`` is a wrapper that changes to a user of its own, and comes last.
    """
    found = [path for path in _CANDIDATES if os.access(path, os.X_OK)]
    return found[0] if found else shutil.which("rabbitmq-server")


@dataclass(slots=True)
class RabbitMq:
    """One node. Owns ``directory``; its files survive ``stop``."""

    program: str
    directory: Path
    port: int = 0
    node: str = field(default_factory=lambda: f"bench{secrets.token_hex(4)}@localhost")
    process: subprocess.Popen[bytes] | None = None
    port_mapper: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start the node and wait until it takes connections. Blocks.

        Raises:
            RuntimeError: it did not come up; says its last words.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port, distribution_port, mapper_port = free_ports(3)
        log = self.directory / "start.log"
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": str(self.directory),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq.conf"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            # The node runs in the script's own place, and takes SIGTERM itself.
            "RUNNING_UNDER_SYSTEMD": "true",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(mapper_port),
        }
        (self.directory / "enabled_plugins").write_text("[].\n", encoding="ascii")
        (self.directory / "rabbitmq-env.conf").write_text("", encoding="ascii")
        (self.directory / "rabbitmq.conf").write_text("log.file.level = warning\n", encoding="ascii")
        earlier_bytes = log.stat().st_size if log.exists() else 0
        # Ours, in the foreground: the one that Erlang would start by itself outlives its node.
        self.port_mapper = spawn([_epmd(), "-address", "127.0.0.1", "-port", str(mapper_port)], log_path=log)
        self.process = spawn([self.program], log_path=log, environment=environment)
        deadline = time.monotonic() + _START_LIMIT_S
        # The script writes "Starting broker... completed with N plugins." when all listeners are open.
        while "completed with" not in last_lines(log, 20, since=earlier_bytes):
            if self.process.poll() is not None or not wait_until(deadline, 0.1):
                self.stop()
                raise RuntimeError(f"RabbitMQ did not start: {last_lines(log, 10)}; its log: {log}")

    def stop(self) -> None:
        """End the node, and the port mapper that it started."""
        if self.process is not None:
            stop(self.process, signal.SIGTERM, timeout_s=_STOP_LIMIT_S)
        if self.port_mapper is not None:
            stop(self.port_mapper, signal.SIGTERM, timeout_s=_STOP_LIMIT_S)


def _epmd() -> str:
    found = shutil.which("epmd")
    if found is None:
        raise RuntimeError("RabbitMQ needs epmd, which comes with Erlang, on the PATH")
    return found
