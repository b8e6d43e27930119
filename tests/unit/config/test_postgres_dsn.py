"""Where the databases are, in the settings."""

import pytest

from config.settings import load_settings
from tests.unit.config.test_settings import KEY, faults


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:p@h1:5432,h2:5433,h3:5434/shard_{shard}",
        "postgres://u@db-{shard}/x?sslmode=require",
        "postgresql://u:a%2Cb@[::1]:1,[fe80::2]/",
        "postgresql://u:p@/?host=/run/pg,/run/pg&port=5432,5433",
        "postgresql://u:p@/?host=/run/a,/run/b&port=54{shard}",
    ],
)
def test_a_dsn_may_list_several_hosts(dsn: str) -> None:
    given = load_settings({"SPAZA_POSTGRES__DSN": dsn}, demo_key=KEY).postgres.dsn

    assert given is not None
    assert given.get_secret_value() == dsn


@pytest.mark.parametrize(
    ("dsn", "says"),
    [
        ("host=db password=hush", "must be a URL"),
        ("mysql://u:hush@db/x", "must be a URL"),
        ("postgresql://u:hush@h1,,h2/x", "must name each host"),
        ("postgresql://u:hush@h1, h2/x", "must name each host"),
        ("postgresql://u:hush@h1:70000,h2/x", "must name ports"),
        ("postgresql://u:hush@h1:five,h2/x", "must name each host"),
        ("postgresql://u:hush@[::1,h2/x", "must be a URL"),
        ("postgresql://u:hush@/x?host=/a,/b&port=1,2,3", "must name one port, or one for each host"),
        ("postgresql://u:hush@h1/x?port=1,2", "must name one port, or one for each host"),
        ("postgresql://u:hush@/x?host=/a,/b&port=five", "must name ports"),
        ("postgresql://u:hush@h1,h2/x?target_session_attrs=standby", "must lead to the server that takes writes"),
    ],
)
def test_a_dsn_that_cannot_be_used_is_refused_without_being_quoted(dsn: str, says: str) -> None:
    [fault] = faults({"SPAZA_POSTGRES__DSN": dsn})

    assert fault.startswith(f"SPAZA_POSTGRES__DSN: {says}")
    assert "hush" not in fault
