"""What is added to the configuration of HAProxy that Ray writes."""

import pytest
from ray.serve._private.haproxy_templates import HAPROXY_CONFIG_TEMPLATE

from cluster.haproxy_config import UnknownConfigurationError, candid, guarded, shaped

# As Ray writes it; the last test sees to that it stays like it.
WRITTEN = """defaults
    mode http
    timeout connect 5s
    timeout client 30s
    errorfile 502 /run/500.http
    errorfile 503 /run/500.http
    errorfile 504 /run/500.http
frontend prometheus
    bind :9101
    mode http
frontend http_frontend
    bind *:8000
    default_backend default_backend
backend default_backend
    http-request return status 404 content-type text/plain lf-string "Path \'%[path]\' not found."
listen stats
  bind *:8404
  stats enable
"""


def _guarded(config: str) -> str:
    return guarded(config, stats_port=8404, metrics_port=9101)


def test_a_request_has_to_arrive_in_time_before_a_replica_hears_of_it() -> None:
    limits = "    timeout client 30s\n    timeout http-request 10s\n    option http-buffer-request\n"

    assert limits in _guarded(WRITTEN)


def test_figures_are_for_this_machine_alone_and_the_api_is_where_it_was_wanted() -> None:
    binds = [line.strip() for line in _guarded(WRITTEN).splitlines() if "bind" in line]

    assert binds == ["bind 127.0.0.1:9101", "bind *:8000", "bind 127.0.0.1:8404"]


def test_a_second_time_changes_nothing() -> None:
    assert _guarded(_guarded(WRITTEN)) == _guarded(WRITTEN)


@pytest.mark.parametrize("line", ["    timeout client 30s\n", "    bind :9101\n", "  bind *:8404\n"])
def test_a_configuration_that_is_not_known_is_refused(line: str) -> None:
    with pytest.raises(UnknownConfigurationError):
        _guarded(WRITTEN.replace(line, ""))


def test_what_haproxy_answers_is_json_with_the_requests_id_and_asks_to_come_again() -> None:
    lines = [line.strip() for line in shaped(WRITTEN).splitlines()]

    body = """'{"message":"Not ready yet; try again","request_id":"%[var(txn.request_id)]"}'"""
    again = f"hdr Retry-After 2 hdr X-Correlation-ID %[var(txn.request_id)] lf-string {body}"
    assert f"http-error status 503 content-type application/json {again}" in lines
    assert f"http-request return status 503 content-type application/json {again}" in lines
    assert not [line for line in lines if "content-type text/plain" in line]
    assert not [line for line in lines if "/500.http" in line]
    assert lines.index("bind *:8000") + 4 == lines.index(
        "http-request set-header x-request-id %[uuid] if !{ req.hdr(x-request-id) -m found }"
    )
    assert shaped("\n".join(lines)) == "\n".join(lines)


def test_no_answer_reads_a_request_that_may_have_gone_to_a_replica() -> None:
    answers = [line for line in shaped(WRITTEN).splitlines() if " lf-string " in line]

    assert len(answers) == 8
    assert not [line for line in answers if "req.hdr" in line]


def test_what_serve_answers_for_a_replica_that_is_busy_is_answered_in_the_one_shape() -> None:
    (line,) = [line.strip() for line in shaped(WRITTEN).splitlines() if "http-response return" in line]

    assert line.startswith("http-response return status 503 content-type application/json hdr Retry-After 2 hdr ")
    assert """"request_id":"%[var(txn.request_id)]"}' if { status 503 } { res.hdr(content-type)""" in line


def test_what_does_not_arrive_is_answered_by_an_id_of_our_own_for_the_callers_was_not_looked_at() -> None:
    (line,) = [line.strip() for line in shaped(WRITTEN).splitlines() if "http-error status 408" in line]

    assert "req.hdr" not in line
    assert "%[unique-id]" in line


def test_no_request_is_held_until_there_is_a_replica_again() -> None:
    replica = "    server one 127.0.0.1:30000 check observe layer4 error-limit 3 on-error mark-down\n"
    config = candid(f"{WRITTEN}{replica}    server fallback 127.0.0.1:8500 check backup\n")

    assert config == f"{WRITTEN}{replica}    server fallback 127.0.0.1:8500 check backup disabled\n"
    assert candid(config) == config


def test_ray_still_writes_it_so_and_sets_no_limit_of_its_own() -> None:
    for line in (
        "\n    {% if config.timeout_client_s is not none %}timeout client {{ config.timeout_client_s }}s{% endif %}\n",
        "\n    bind :{{ config.metrics_port }}\n",
        "\n  bind *:{{ config.stats_port }}\n",
        "\nfrontend http_frontend\n    bind {{ config.frontend_host }}:{{ config.frontend_port }}\n",
        "\n    errorfile 503 {{ config.error_file_path }}\n",
        "\n    http-request return status 404 content-type text/plain lf-string ",
        "{{ backend.fallback_server.port }} check backup\n",
    ):
        assert line in HAPROXY_CONFIG_TEMPLATE
