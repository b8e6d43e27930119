"""What is added to the configuration of HAProxy that Ray writes."""

import pytest
from ray.serve._private.haproxy_templates import HAPROXY_CONFIG_TEMPLATE

from cluster.haproxy_config import UnknownConfigurationError, guarded

# As Ray writes it; the last test sees to that it stays like it.
WRITTEN = """defaults
    mode http
    timeout connect 5s
    timeout client 30s
frontend prometheus
    bind :9101
    mode http
frontend http_frontend
    bind *:8000
listen stats
  bind *:8404
  stats enable
"""


def _guarded(config: str) -> str:
    return guarded(config, stats_port=8404, metrics_port=9101)


def test_the_head_of_a_request_has_to_arrive_in_time() -> None:
    assert "    timeout client 30s\n    timeout http-request 10s\n" in _guarded(WRITTEN)


def test_figures_are_for_this_machine_alone_and_the_api_is_where_it_was_wanted() -> None:
    binds = [line.strip() for line in _guarded(WRITTEN).splitlines() if "bind" in line]

    assert binds == ["bind 127.0.0.1:9101", "bind *:8000", "bind 127.0.0.1:8404"]


def test_a_second_time_changes_nothing() -> None:
    assert _guarded(_guarded(WRITTEN)) == _guarded(WRITTEN)


@pytest.mark.parametrize("line", ["    timeout client 30s\n", "    bind :9101\n", "  bind *:8404\n"])
def test_a_configuration_that_is_not_known_is_refused(line: str) -> None:
    with pytest.raises(UnknownConfigurationError):
        _guarded(WRITTEN.replace(line, ""))


def test_ray_still_writes_it_so_and_sets_no_limit_of_its_own() -> None:
    for line in (
        "\n    {% if config.timeout_client_s is not none %}timeout client {{ config.timeout_client_s }}s{% endif %}\n",
        "\n    bind :{{ config.metrics_port }}\n",
        "\n  bind *:{{ config.stats_port }}\n",
    ):
        assert line in HAPROXY_CONFIG_TEMPLATE
