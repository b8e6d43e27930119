"""Two standbys of the embedded PostgreSQL: what is confirmed outlives the primary, and a former primary follows."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from actors.shards.dsn import shard_dsn
from actors.shards.errors import UnitFailedError
from actors.shards.setup import set_up_shards
from actors.shards.tenant_schema import TenantSchemas
from cluster.errors import PromotionRefusedError
from cluster.replicas.figures import given_figures
from cluster.replicas.member import Member
from cluster.replicas.replicated_postgres import ReplicatedPostgres
from cluster.replicas.roles import Roles, read_roles
from kernel.identifiers import new_id
from tests.cluster.replicated import Load, all_follow, replicated, says, says_now, until
from tests.contract.shards.conftest import KEY, SHARD

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("re")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def postgres(folder: Path) -> AsyncIterator[ReplicatedPostgres]:
    async with replicated(folder, 2) as servers:
        await set_up_shards(servers.dsn, KEY, shards=[SHARD])
        yield servers


@pytest_asyncio.fixture(loop_scope="module")
async def load(postgres: ReplicatedPostgres) -> AsyncIterator[Load]:
    tenant_id = new_id()
    await TenantSchemas(postgres.dsn).create(tenant_id, SHARD)
    writing = Load(postgres.dsn, tenant_id)
    yield writing
    await writing.aclose()


def _send(member: Member, number: int) -> None:
    assert member.process is not None
    member.process.send_signal(number)


def _send_to_all(member: Member, number: int) -> None:
    """To each of its processes, also those that receive or send the log."""
    # The first of them before all others, or it may go on making more.
    _send(member, number)
    for process in member.running():
        with suppress(psutil.NoSuchProcess):  # one of a connection may just have ended
            process.send_signal(number)


async def test_both_standbys_have_what_was_committed_and_one_may_be_away(
    postgres: ReplicatedPostgres, load: Load
) -> None:
    async def are_as_wanted() -> bool:
        servers = (await postgres.figures())["servers"]
        return [(one["name"], one["role"], one["sync_state"]) for one in servers] == [
            ("PostgreSQL", "primary", None),
            ("PostgreSQL 2", "standby", "quorum"),
            ("PostgreSQL 3", "standby", "quorum"),
        ]

    async def commits_wait_for_one() -> bool:
        return await says(postgres.primary, "SHOW synchronous_standby_names") == "ANY 1 (spaza_2, spaza_3)"

    await until(are_as_wanted, 240)
    await until(commits_wait_for_one, 120)
    assert await says(postgres.primary, "SHOW synchronous_commit") == "on"

    async with load:
        await until(lambda: load.confirmed_after(0), 120)
        killed = time.monotonic()
        _send(postgres.parts[2], signal.SIGKILL)
        await until(lambda: load.confirmed_after(killed + 0.5), 120)
        await until(lambda: all_follow(postgres), 120)

    assert not load.failed
    assert load.confirmed.keys() <= await load.rows()
    counted = f"SELECT count(*) FROM tenant_{load.tenant_id}.product"
    await until(lambda: _same_everywhere(postgres, counted), 120)


async def _same_everywhere(postgres: ReplicatedPostgres, query: str) -> bool:
    said = {await says_now(member, query) for member in postgres.parts}
    return len(said) == 1 and None not in said


async def test_who_is_the_primary_of_given_servers_they_say_themselves(postgres: ReplicatedPostgres) -> None:
    figures: dict[str, Any] = {}

    async def all_answer() -> bool:
        figures.update(await given_figures(shard_dsn(postgres.dsn, SHARD)))
        return [one["role"] for one in figures["servers"]] == ["primary", "standby", "standby"]

    await until(all_answer, 120)

    assert figures["primary"] == figures["servers"][0]["name"]
    assert figures["primary"].endswith("port 5432")
    of_primary, *of_standbys = [one["lag_bytes"] for one in figures["servers"]]
    assert of_primary is None
    assert all(0 <= lag < 10_000_000 for lag in of_standbys)


async def test_a_primary_that_is_well_is_not_replaced(postgres: ReplicatedPostgres) -> None:
    before = postgres.primary

    with pytest.raises(
        PromotionRefusedError, match=r"PostgreSQL is the primary, runs \(pid \d+\) and answered in .*--switchover"
    ):
        await postgres.promote(force=True)

    assert postgres.primary is before


async def test_a_killed_primary_is_replaced_under_load_without_a_confirmed_write_lost(
    postgres: ReplicatedPostgres, load: Load, folder: Path
) -> None:
    former = postgres.primary
    async with load:
        await until(lambda: load.confirmed_after(0), 120)
        _send(former, signal.SIGKILL)
        done = await postgres.promote()
        promoted = time.monotonic()
        took_s = await until(lambda: load.confirmed_after(promoted), 120)
        # And what starts dead servers again has started it, as what it may be.
        await until(lambda: _is_settled(postgres, folder), 240)

    there = await load.rows()
    assert took_s < 60
    assert load.confirmed.keys() <= there
    assert not load.refused & there
    assert set(load.failed) <= {"ShardUnavailableError", "UnitTimeoutError", "OverloadedError"}
    # No call was kept much longer than its patience.
    assert load.slowest_s < 90
    assert done["former"] == former.name == "PostgreSQL"
    assert done["promoted"] == postgres.primary.name != former.name
    assert await says(former, "SELECT pg_is_in_recovery()") == "True"
    assert await says(postgres.primary, "SHOW synchronous_standby_names") != ""


async def _is_settled(postgres: ReplicatedPostgres, folder: Path) -> bool:
    """Whether all follow, and it is written down that they do."""
    kept = read_roles(folder / "data")
    return await all_follow(postgres) and kept == Roles(postgres.primary.number, 2)


async def test_a_primary_that_hangs_is_replaced_only_when_all_standbys_were_asked_and_never_writes_again(
    postgres: ReplicatedPostgres, load: Load
) -> None:
    former, (silent, _) = postgres.primary, [one for one in postgres.parts if one is not postgres.primary]
    async with load:
        await until(lambda: load.confirmed_after(0), 120)
        for member in (former, silent):
            _send(member, signal.SIGSTOP)

        with pytest.raises(PromotionRefusedError, match=f"{silent.name}: no answer.*--force"):
            await postgres.promote()
        assert postgres.primary is former
        assert former.process is not None
        assert former.process.poll() is None

        _send(silent, signal.SIGCONT)
        hung = former.process
        await postgres.promote()
        promoted = time.monotonic()
        assert hung.poll() == -signal.SIGKILL
        await until(lambda: load.confirmed_after(promoted), 120)
        await until(lambda: all_follow(postgres), 240)

    assert load.confirmed.keys() <= await load.rows()
    assert await says(former, "SELECT pg_is_in_recovery()") == "True"


async def test_a_standby_that_was_started_again_counts_only_when_it_has_read_what_it_has(
    postgres: ReplicatedPostgres, load: Load
) -> None:
    await until(lambda: all_follow(postgres), 240)
    former, (behind, ahead) = postgres.primary, [one for one in postgres.parts if one is not postgres.primary]
    # So it reads its log slowly.
    await says(ahead, "ALTER SYSTEM SET recovery_min_apply_delay = '8s'")
    await says(ahead, "SELECT pg_reload_conf()")

    (await load.unit("add", "both have it")).unwrap()
    _send_to_all(behind, signal.SIGSTOP)
    (await load.unit("add", "one has it")).unwrap()
    _send_to_all(former, signal.SIGSTOP)
    # What was sent to the one that stands still goes with its processes.
    for member in (behind, ahead):
        _send_to_all(member, signal.SIGKILL)
    for member in (behind, ahead):
        await until(partial(_answers, member), 120)
    await postgres.promote()

    assert postgres.primary is ahead
    assert await load.rows() == {"both have it", "one has it"}
    # The former primary is turned back with the settings of the new one.
    await until(lambda: all_follow(postgres), 240)
    for member in postgres.parts:
        await says(member, "ALTER SYSTEM RESET recovery_min_apply_delay")
        await says(member, "SELECT pg_reload_conf()")


async def _answers(member: Member) -> bool:
    return await says_now(member, "SELECT pg_is_in_recovery()") == "True"


async def test_a_change_in_good_order_is_made_where_it_is_asked_for_and_two_at_once_are_one(
    postgres: ReplicatedPostgres, load: Load
) -> None:
    await until(lambda: all_follow(postgres), 240)
    former = postgres.primary

    promoting = asyncio.create_task(postgres.promote(switchover=True))
    await asyncio.sleep(0)
    with pytest.raises(PromotionRefusedError, match="under way"):
        await postgres.promote(switchover=True)
    done = await promoting

    assert done["former"] == former.name != postgres.primary.name
    async with load:
        await until(lambda: load.confirmed_after(0), 120)


_IS_STANDBY = "SELECT pg_is_in_recovery()"


async def test_reads_that_may_be_stale_are_a_standbys_and_never_staler_than_they_may_be(
    postgres: ReplicatedPostgres, load: Load
) -> None:
    await until(lambda: all_follow(postgres), 240)
    standbys = [one for one in postgres.parts if one is not postgres.primary]
    assert (await load.unit("statement", _IS_STANDBY)).unwrap() == [(False,)]

    async def comes_from_a_standby() -> bool:
        return bool((await load.unit("statement", _IS_STANDBY, max_staleness_s=300.0)).unwrap() == [(True,)])

    await until(comes_from_a_standby, 120)
    (await load.unit("add", "old")).unwrap()
    await asyncio.sleep(0.3)
    assert (await load.unit("skus", max_staleness_s=0.25)).unwrap() == ["old"]

    async def have_the_old() -> bool:
        counted = f"SELECT count(*) FROM tenant_{load.tenant_id}.product"
        return [await says_now(member, counted) for member in standbys] == ["1", "1"]

    async def old_alone_is_seen() -> bool:
        return bool((await load.unit("skus", max_staleness_s=300.0)).unwrap() == ["old"])

    await until(have_the_old, 120)
    for member in standbys:
        await says(member, "SELECT pg_wal_replay_pause()::text")
    try:
        (await load.unit("add", "new")).unwrap()
        await asyncio.sleep(0.3)

        # The standbys may answer without the row, and they do; what is to be younger comes from the primary.
        await until(old_alone_is_seen, 120)
        assert (await load.unit("skus", max_staleness_s=0.25)).unwrap() == ["new", "old"]
        assert (await load.unit("statement", _IS_STANDBY, max_staleness_s=0.25)).unwrap() == [(False,)]
    finally:
        for member in standbys:
            await says(member, "SELECT pg_wal_replay_resume()::text")


async def test_a_unit_that_writes_where_it_was_called_to_read_is_refused_wherever_it_runs(load: Load) -> None:
    for staleness_s in (300.0, 0.0):
        error = (await load.unit("add", "written", max_staleness_s=staleness_s)).error
        assert isinstance(error, UnitFailedError)
        assert error.sqlstate == "25006"

    assert await load.rows() == set()


async def test_reads_that_may_be_stale_come_from_the_primary_where_no_standby_answers(
    postgres: ReplicatedPostgres, load: Load
) -> None:
    standbys = [one for one in postgres.parts if one is not postgres.primary]
    for member in standbys:
        _send(member, signal.SIGSTOP)
    try:
        assert (await load.unit("statement", _IS_STANDBY, max_staleness_s=300.0)).unwrap() == [(False,)]
    finally:
        for member in standbys:
            _send(member, signal.SIGCONT)


async def test_all_killed_at_once_come_back_as_what_they_were(postgres: ReplicatedPostgres, load: Load) -> None:
    await until(lambda: all_follow(postgres), 240)
    primary = postgres.primary
    async with load:
        await until(lambda: load.confirmed_after(0), 120)
        for member in postgres.parts:
            _send(member, signal.SIGKILL)
        killed = time.monotonic()
        await until(lambda: load.confirmed_after(killed + 0.5), 120)

    assert postgres.primary is primary
    assert load.confirmed.keys() <= await load.rows()
