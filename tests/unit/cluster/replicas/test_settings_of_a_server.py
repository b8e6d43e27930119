"""What a server of a group is told, and what is said of it."""

from pathlib import Path

from cluster.replicas.asking import Follower, Standing
from cluster.replicas.figures import describe
from cluster.replicas.making import Source, config_text

PRIMARY = Standing(standby=False, received=0x3000, replayed=0x3000, streaming=False, timeline=2)


def test_a_standby_is_told_whom_to_follow_and_whom_to_wait_for_once_it_is_promoted() -> None:
    source = Source(Path("/run/it's/pg"), 5432, Path("/data/passfile"))

    lines = config_text(
        Path("/data/postgres-2/postgresql.conf"), source, "spaza_2", ["spaza_1", "spaza_3"]
    ).splitlines()

    assert lines[0] == "include '/data/postgres-2/postgresql.conf'"
    assert "synchronous_standby_names = 'ANY 1 (spaza_1, spaza_3)'" in lines
    assert "primary_slot_name = 'spaza_2'" in lines
    [conninfo] = [line for line in lines if line.startswith("primary_conninfo")]
    # Quoted for libpq, and then for the file.
    assert "host=''/run/it\\\\''s/pg'' port=''5432''" in conninfo
    assert "application_name=''spaza_2''" in conninfo
    assert "password" not in conninfo


def test_a_primary_follows_nobody_and_alone_waits_for_nobody() -> None:
    lines = config_text(Path("/data/postgres/postgresql.conf"), None, "spaza_1", []).splitlines()

    assert "primary_conninfo = ''" in lines
    assert "synchronous_standby_names = ''" in lines


def test_a_standbys_lag_is_what_the_primary_has_more_and_how_long_that_took_lately() -> None:
    said = Standing(standby=True, received=0x2800, replayed=0x2000, streaming=True, timeline=2)

    figures = describe("PostgreSQL 2", said, PRIMARY, Follower(streaming=True, sync_state="quorum", lag_s=0.25))

    assert (figures["role"], figures["received_lsn"], figures["replayed_lsn"]) == ("standby", "0/2800", "0/2000")
    assert (figures["lag_bytes"], figures["lag_s"], figures["streaming"]) == (0x1000, 0.25, True)
    assert describe("p", said, None, None)["lag_bytes"] is None
    caught_up = describe("p", said._replace(replayed=0x3000), PRIMARY, Follower(True, "quorum", 0.25))
    assert caught_up["lag_s"] == 0.0


def test_a_server_that_does_not_answer_is_away_and_a_primary_does_not_lag() -> None:
    away, primary = describe("p", None, PRIMARY, None), describe("p", PRIMARY, PRIMARY, None)

    assert (away["role"], away["received_lsn"], away["lag_bytes"]) == ("away", None, None)
    assert (primary["role"], primary["lag_bytes"], primary["streaming"]) == ("primary", None, None)
