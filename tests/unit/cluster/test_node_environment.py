"""What Ray is told: nothing that two instances on one machine would share."""

from pathlib import Path

from cluster.node_environment import ray_environment

_NAMES = (
    "haproxy_stats", "haproxy_metrics", "fallback_http", "fallback_grpc", "dashboard_metrics", "monitor_metrics",
    "replica_http", "replica_grpc",
)  # fmt: skip
# The same for all, on purpose.
_ALIKE = {
    "RAY_SERVE_ENABLE_HA_PROXY", "RAY_SERVE_THROUGHPUT_OPTIMIZED", "RAY_SERVE_HAPROXY_NBTHREAD",
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S", "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S", "RAY_worker_niceness",
    "RAY_USAGE_STATS_ENABLED", "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S", "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S",
    "RAY_SERVE_HAPROXY_METRICS_ENABLED", "RAY_SERVE_CONTROL_LOOP_INTERVAL_S", "RAY_SERVE_HAPROXY_BINARY_PATH",
    "RAY_SERVE_HAPROXY_MAXCONN", "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S",
    "RAY_SERVE_HAPROXY_RETRIES", "RAY_SERVE_HAPROXY_TIMEOUT_CONNECT_S", "HAPROXY_PROGRAM", "HAPROXY_PYTHON",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "RAY_event_stats",
}  # fmt: skip


def _environment(run_dir: str, first_port: int) -> dict[str, str]:
    return ray_environment(Path(run_dir), {name: first_port + 100 * at for at, name in enumerate(_NAMES)})


def test_two_instances_share_no_port_and_no_path() -> None:
    one, other = _environment("/run/one", 20_000), _environment("/run/other", 30_000)

    shared = {name for name in one if one[name] == other[name]}

    assert shared == _ALIKE


def test_requests_go_through_haproxy() -> None:
    environment = _environment("/run/one", 20_000)

    assert environment["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
    assert environment["RAY_SERVE_THROUGHPUT_OPTIMIZED"] == "1"


def test_sockets_have_room_for_what_serve_puts_into_their_path() -> None:
    # Serve adds a folder with the node's id, 56 characters; a socket's path ends at 107.
    environment = _environment("/tmp/spaza-12345678", 20_000)

    for name in ("RAY_SERVE_HAPROXY_SOCKET_PATH", "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH"):
        assert len(environment[name]) + 57 <= 107, name


def test_what_is_left_in_the_temporary_folder_ends_with_the_run() -> None:
    environment = _environment("/tmp/spaza-12345678", 20_000)

    assert environment["TMPDIR"] == "/tmp/spaza-12345678/tmp"
    # multiprocessing's listeners are there.
    assert len(environment["TMPDIR"] + "/pymp-12345678/listener-12345678") <= 107
