"""Ports that are named by settings."""

import pytest

from cluster.ports import reached_at, refuse_same
from config.settings import SettingsError


def test_two_settings_of_one_port_are_refused_by_their_names() -> None:
    with pytest.raises(SettingsError) as raised:
        refuse_same({"SPAZA_HTTP__PORT": 8000, "SPAZA_DASHBOARD__PORT": 8265, "SPAZA_SANDBOX__PORT": 8000})

    assert raised.value.faults == (
        "SPAZA_HTTP__PORT and SPAZA_SANDBOX__PORT are both 8000; choose another port with one of them",
    )


def test_different_ports_are_not_refused() -> None:
    refuse_same({"SPAZA_HTTP__PORT": 8000, "SPAZA_DASHBOARD__PORT": 8265})


@pytest.mark.parametrize(
    ("host", "reached"),
    [("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("10.0.0.5", "10.0.0.5"), ("::1", "[::1]")],
)
def test_what_listens_everywhere_is_reached_at_the_loopback_and_what_listens_somewhere_there(
    host: str, reached: str
) -> None:
    assert reached_at(host) == reached
