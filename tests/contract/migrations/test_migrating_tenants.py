"""All tenants are brought to the newest version, each whole or not at all, whatever happens to one of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actors.shards.errors import MigrationFailedError, SetupError
from actors.shards.migration_errors import (
    MigrationChangedError,
    MigrationOrderError,
    NewerDatabaseError,
    NoShardError,
    UnknownCanaryError,
)
from actors.shards.migration_files import SHARED, Phase
from actors.shards.migration_report import MigrationReport, Progress
from actors.shards.migration_run import TenantMigrations
from actors.shards.migrations import Patience
from actors.shards.owner import MigrationLimits
from actors.shards.rehearsal import SCRATCH
from actors.shards.tenant_move import TenantMoves
from cluster.postgres import PostgresServer
from kernel.identifiers import new_id
from tests.contract.migrations.conftest import SHARDS, Installation
from tests.migration_folders import REAL, Release

BARCODE = "ALTER TABLE {schema}.product ADD COLUMN barcode text;"
UNIQUE_NAME = "CREATE UNIQUE INDEX product_name ON {schema}.product (name);"
PRODUCT = (
    "INSERT INTO tenant_{0}.product (sku, name, price_minor, currency, latitude, longitude)"
    " SELECT sku, 'Bread', 1, 'ZAR', 0, 0 FROM unnest(ARRAY['one', 'two']) AS sku"
)

# Who has it to do after another tenant has got it waits for the gate; so neither the rehearsal nor the first do.
_GATE = """
DO $gate$ BEGIN
    WHILE EXISTS (SELECT FROM spaza.schema_version WHERE scope <> 'spaza' AND version = {version})
        AND NOT pg_try_advisory_xact_lock_shared(4711)
    LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
END $gate$;
"""
_AT_THE_GATE = """
SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%$gate$%' AND pid <> pg_backend_pid()
AND state = 'active' AND EXISTS (SELECT FROM spaza.schema_version WHERE scope <> 'spaza' AND version = $1)
"""

_GUARDED = "ALTER TABLE {{schema}}.{} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"


def _newest(release: Release) -> int:
    return len(release.files.tenant)


async def test_every_tenant_of_every_shard_is_migrated_once(installation: Installation, release: Release) -> None:
    tenants = await installation.tenants(3, 0, 5)
    release.add(REAL)
    seen: list[Progress] = []

    report = await installation.migrations(release).run(watch=seen.append)
    again = await installation.migrations(release).run()

    assert (report.complete, report.migrated, report.applied) == (True, 8, 8)
    assert (again.complete, again.migrated, again.plan.up_to_date) == (True, 0, 8)
    assert await installation.versions() == dict.fromkeys(tenants, _newest(release))
    assert (await installation.drift(release)).clean
    assert (seen[0].done, seen[0].total) == (0, 8)
    assert (seen[-1].done, seen[-1].total, seen[-1].left_s) == (8, 8, 0)
    assert sorted(one.done for one in seen) == [one.done for one in seen]


async def test_a_plan_says_what_would_be_applied_where_and_changes_nothing(
    installation: Installation, release: Release
) -> None:
    first, second = await installation.tenants(1, 1)
    added = release.add(BARCODE)
    shared = release.add("CREATE TABLE spaza.added ()", kind=SHARED)
    before = await installation.versions()

    plan = await installation.migrations(release).plan(canaries=[second])

    assert [(one.tenant_id, one.shard, one.migrations) for one in plan.behind] == [
        (first, 0, (added,)), (second, 1, (added,)),
    ]  # fmt: skip
    assert [one.shared for one in plan.shards] == [(shared,)] * 3
    assert [one.tenant_id for one in plan.canaries] == [second]
    assert await installation.versions() == before
    assert await installation.fetch(0, "SELECT to_regclass('spaza.added')::text AS name") == [(None,)]


async def test_new_tenants_start_at_what_their_shard_has_released_even_if_their_maker_does_not_know_it(
    installation: Installation, release: Release
) -> None:
    await installation.tenants(1, 1)
    old = release.files
    release.add(REAL)
    await installation.migrations(release).run()

    (made, empty_shard, *_) = [*await installation.tenants(1, 0, 1, files=old)]

    versions = await installation.versions()
    assert (versions[made], versions[empty_shard]) == (_newest(release), _newest(release))
    assert (await installation.drift(release)).clean


async def test_a_new_tenant_of_new_code_has_what_comes_before_the_code_and_not_yet_what_comes_after(
    installation: Installation, release: Release
) -> None:
    (old,) = await installation.tenants(1)
    version = (await installation.versions())[old]
    release.add(BARCODE)
    release.add("ALTER TABLE {schema}.product DROP COLUMN category;", phase="post")

    (new,) = await installation.tenants(1, files=release.files)

    assert (await installation.versions())[new] == version + 1
    report = await installation.migrations(release).run(Phase.POST)
    assert report.complete
    assert set((await installation.versions()).values()) == {version + 2}


async def test_the_phases_of_a_rolling_update_are_applied_apart(installation: Installation, release: Release) -> None:
    (tenant,) = await installation.tenants(1)
    version = (await installation.versions())[tenant]
    release.add(BARCODE)
    release.add("ALTER TABLE {schema}.product DROP COLUMN category;", phase="post")
    migrations = installation.migrations(release)

    assert (await migrations.run(Phase.PRE)).complete
    between = (await installation.versions())[tenant]
    assert (await migrations.run(Phase.PRE)).migrated == 0
    assert (await migrations.run(Phase.POST)).complete

    assert (between, (await installation.versions())[tenant]) == (version + 1, version + 2)


async def test_what_comes_before_the_code_is_refused_while_an_earlier_release_was_not_ended(
    installation: Installation, release: Release
) -> None:
    (tenant,) = await installation.tenants(1)
    version = (await installation.versions())[tenant]
    post = release.add("ALTER TABLE {schema}.product DROP COLUMN category;", phase="post")
    pre = release.add(BARCODE)

    with pytest.raises(MigrationOrderError, match=f"{pre}.*{post}.*--phase post"):
        await installation.migrations(release).run(Phase.PRE)

    assert (await installation.versions())[tenant] == version
    assert (await installation.migrations(release).run()).complete


async def test_a_file_that_was_changed_after_it_had_been_applied_is_refused_by_name(
    installation: Installation, release: Release
) -> None:
    await installation.tenants(1)
    name = release.add(BARCODE)
    await installation.migrations(release).run()
    release.rewrite(name, BARCODE + " -- and more")
    release.add("CREATE TABLE {schema}.more ();" + _GUARDED.format("more"))

    with pytest.raises(MigrationChangedError, match=f"{name}.*schema_migration.*{_newest(release) + 1:04d}_pre"):
        await installation.migrations(release).run()

    release.rewrite(name, BARCODE)
    assert (await installation.migrations(release).run()).complete


async def test_a_file_with_a_fault_is_refused_before_anybody_has_it_and_may_be_mended(
    installation: Installation, release: Release
) -> None:
    tenants = await installation.tenants(2, 1)
    before = await installation.versions()
    name = release.add("ALTER TABLE {schema}.product ADD COLUM barcode text;")

    with pytest.raises(MigrationFailedError, match=f"{name}.*nothing was touched"):
        await installation.migrations(release).run(canaries=tenants[:1])

    assert await installation.versions() == before
    release.rewrite(name, BARCODE)
    assert (await installation.migrations(release).run()).complete


async def test_a_failing_canary_stops_before_anything_else_was_touched(
    installation: Installation, release: Release
) -> None:
    tenants = await installation.tenants(2, 2)
    canary = tenants[3]
    await installation.fetch(1, PRODUCT.format(canary))
    before = await installation.versions()
    name = release.add(UNIQUE_NAME)

    report = await installation.migrations(release).run(canaries=[tenants[2], canary, tenants[0]])

    assert (report.stopped, report.complete, report.migrated) == (True, False, 1)
    assert [(one.tenant_id, one.shard, one.migration) for one in report.failed] == [(canary, 1, name)]
    assert await installation.versions() == {**before, tenants[2]: _newest(release)}
    assert "Bread" not in report.failed[0].reason
    assert f"tenant_{canary}" in report.failed[0].remedy


async def test_a_tenant_that_fails_stops_nobody_else_and_is_gone_on_with_when_it_is_mended(
    installation: Installation, release: Release
) -> None:
    tenants = await installation.tenants(3, 2)
    await installation.fetch(0, PRODUCT.format(tenants[1]))
    release.add(UNIQUE_NAME)
    last = release.add(BARCODE)

    report = await installation.migrations(release).run(canaries=[tenants[0]])

    assert (report.stopped, report.migrated) == (False, 4)
    assert [one.tenant_id for one in report.failed] == [tenants[1]]
    await installation.fetch(0, f"DELETE FROM tenant_{tenants[1]}.product")
    mended = await installation.migrations(release).run()
    assert (mended.complete, mended.migrated, mended.applied) == (True, 1, 2)
    assert last
    assert (await installation.drift(release)).clean


async def test_a_canary_that_is_no_tenant_is_refused(installation: Installation, release: Release) -> None:
    await installation.tenants(1)
    release.add(BARCODE)

    with pytest.raises(UnknownCanaryError, match="SPAZA_MIGRATIONS__CANARIES"):
        await installation.migrations(release).run(canaries=[new_id()])


async def test_a_table_in_use_is_waited_for_briefly_and_come_back_to(
    installation: Installation, release: Release
) -> None:
    busy, free = await installation.tenants(2)
    release.add(BARCODE)
    reader = await installation.owner(0)
    transaction = reader.transaction()
    await transaction.start()
    await reader.fetch(f"SELECT * FROM tenant_{busy}.product")
    patience = Patience(lock_ms=50, attempts=3)

    report = await installation.migrations(release, per_shard=1, patience=patience).run()

    assert [one.tenant_id for one in report.failed] == [busy]
    assert "--lock-timeout-ms" in report.failed[0].remedy
    assert (await installation.versions())[free] == _newest(release)
    running = asyncio.create_task(
        installation.migrations(release, patience=Patience(lock_ms=50, attempts=10_000)).run()
    )
    await asyncio.sleep(0.3)
    assert not running.done()
    await transaction.rollback()
    assert (await running).complete
    await reader.close()


async def test_several_runs_at_once_do_it_once_while_tenants_are_made(
    installation: Installation, release: Release
) -> None:
    await installation.tenants(6, 6, 6)
    release.add(REAL)

    first, second, made = await asyncio.gather(
        installation.migrations(release).run(),
        installation.migrations(release).run(),
        installation.tenants(4, 4, 4),
    )

    assert first.complete
    assert second.complete
    # Of those that were made meanwhile some were made new enough.
    assert 18 <= first.applied + second.applied <= 30
    versions = await installation.versions()
    assert len(versions) == 18 + len(made)
    assert set(versions.values()) == {_newest(release)}
    assert (await installation.drift(release)).clean


async def test_shared_tables_are_migrated_before_the_tenants_that_need_them(
    installation: Installation, release: Release
) -> None:
    await installation.tenants(1, 1)
    release.add("CREATE TABLE spaza.unit_of_measure (name text PRIMARY KEY)", kind=SHARED)
    release.add("ALTER TABLE {schema}.product ADD COLUMN unit text REFERENCES spaza.unit_of_measure;")

    report = await installation.migrations(release).run()

    assert (report.complete, report.shared, report.applied) == (True, 3, 2)


async def test_files_of_an_older_release_are_refused(installation: Installation, release: Release) -> None:
    await installation.tenants(1)
    old = release.files
    release.add(BARCODE)
    await installation.migrations(release).run()

    with pytest.raises(NewerDatabaseError, match="older Spaza"):
        await TenantMigrations(installation.dsn, old, shards=SHARDS).run()


async def test_a_shard_that_does_not_answer_is_named_and_the_others_are_migrated(
    installation: Installation, release: Release
) -> None:
    tenants = await installation.tenants(1, 1)
    release.add(BARCODE)
    migrations = TenantMigrations(installation.dsn, release.files, MigrationLimits(), shards=(*SHARDS, 7))

    report = await migrations.run()

    assert ([one.shard for one in report.shards], report.complete) == ([7], False)
    assert await installation.versions() == dict.fromkeys(tenants, _newest(release))


async def test_where_no_shard_answers_it_says_so_once(release: Release) -> None:
    with pytest.raises(NoShardError, match="SPAZA_POSTGRES__DSN") as caught:
        await TenantMigrations("postgresql://owner:hush@127.0.0.1:1/x", release.files).run()

    assert "hush" not in str(caught.value)


async def test_databases_that_were_never_set_up_are_refused_with_the_remedy(
    server: PostgresServer, release: Release
) -> None:
    dsn = server.database_dsn("postgres")

    with pytest.raises(SetupError, match="start Spaza with it once"):
        await TenantMigrations(dsn + "#{shard}", release.files, shards=(0,)).run()


async def test_a_run_uses_no_more_connections_than_it_may(installation: Installation, release: Release) -> None:
    await installation.tenants(8, 8, 8)
    release.add("SELECT pg_sleep(0.05);" + BARCODE)
    most = 0
    watcher = await installation.owner(0)
    run = asyncio.create_task(installation.migrations(release, per_shard=2, connections=3).run())
    count = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname LIKE split_part(current_database(), '_', 1) || '%'"
        " AND backend_type = 'client backend'"
    )
    while not run.done():
        most = max(most, (await watcher.fetchval(count)) - 1)
    await watcher.close()

    assert (await run).complete
    assert 2 <= most <= 3


async def test_a_run_that_is_given_a_time_stops_between_two_tenants_and_the_next_goes_on(
    installation: Installation, release: Release
) -> None:
    await installation.tenants(12)
    release.add(BARCODE)
    done = [0.0]
    # Each tenant takes a second.
    migrations = installation.migrations(release, per_shard=1, clock=lambda: done[-1])

    cut = await migrations.run(time_s=4.5, watch=lambda progress: done.append(float(progress.done)))
    rest = await installation.migrations(release).run()

    assert (cut.cut, cut.complete) == (True, False)
    assert cut.migrated == 5
    assert rest.migrated == 7


# Of the second it is not said that the schema is gone, but that the table is.
@pytest.mark.parametrize("statement", [BARCODE, "UPDATE {schema}.product SET name = name;"])
async def test_a_tenant_that_is_removed_meanwhile_is_no_failure(
    installation: Installation, release: Release, statement: str
) -> None:
    (*_, last) = await installation.tenants(3)
    async with in_the_middle(installation, release, statement) as run:
        await installation.fetch(0, f"DROP SCHEMA tenant_{last} CASCADE")

    assert (await run).complete


async def test_a_tenant_that_moves_meanwhile_to_a_shard_that_was_done_is_found_there(
    installation: Installation, release: Release
) -> None:
    (*_, last) = tenants = await installation.tenants(3)
    moves = TenantMoves(installation.dsn)
    # The other shards, which had nobody, are done by then.
    async with in_the_middle(installation, release, BARCODE) as run, moves.between(last, 0, 1) as move:
        await move.copy()
        await move.freeze()
        await move.open()
        await move.finish()

    report = await run

    assert report.complete
    assert await installation.versions() == dict.fromkeys(tenants, _newest(release))


async def test_a_tenant_that_is_on_two_shards_while_it_moves_is_migrated_on_both(
    installation: Installation, release: Release
) -> None:
    (*_, last) = await installation.tenants(3)
    moves = TenantMoves(installation.dsn)
    # Nothing of it is missed where it had been listed.
    async with in_the_middle(installation, release, BARCODE) as run, moves.between(last, 0, 1) as move:
        await move.copy()
        await move.freeze()
        await move.open()

    report = await run

    assert report.complete
    version = "SELECT version FROM spaza.schema_version WHERE scope = $1"
    assert [(await installation.fetch(shard, version, f"tenant_{last}"))[0][0] for shard in (0, 1)] == [
        _newest(release)
    ] * 2


async def test_connections_that_break_in_the_middle_are_replaced(installation: Installation, release: Release) -> None:
    tenants = await installation.tenants(6)
    gated(release, BARCODE)
    end = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = current_database()"
    async with holding_up(installation) as gate:
        run = asyncio.create_task(installation.migrations(release).run())
        for _ in range(2):
            await _held_up(gate, release)
            await gate.fetch(f"{end} AND backend_type = 'client backend' AND pid <> pg_backend_pid()")

    report = await run

    assert report.complete
    assert await installation.versions() == dict.fromkeys(tenants, _newest(release))


def gated(release: Release, statement: str) -> None:
    """Add a file that waits for the gate."""
    release.add(_GATE.replace("{version}", str(_newest(release) + 1)) + statement)


@asynccontextmanager
async def holding_up(installation: Installation) -> AsyncIterator[Any]:
    """Nobody passes the gate of shard 0 meanwhile. Gives the session that holds it."""
    gate = await installation.owner(0)
    try:
        await gate.execute("SELECT pg_advisory_lock(4711)")
        yield gate
    finally:
        await gate.close()


@asynccontextmanager
async def in_the_middle(
    installation: Installation, release: Release, statement: str
) -> AsyncIterator["asyncio.Task[MigrationReport]"]:
    """A run over one tenant after the other: the second is in its migration meanwhile, and the last was listed."""
    gated(release, statement)
    async with holding_up(installation) as gate:
        run = asyncio.create_task(installation.migrations(release, per_shard=1).run())
        await _held_up(gate, release)
        yield run


async def _held_up(gate: Any, release: Release) -> None:
    async with asyncio.timeout(120):
        while not await gate.fetch(_AT_THE_GATE, _newest(release)):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "end", ["COMMIT", "END", "ABORT", "COMMIT AND CHAIN", "ROLLBACK WORK", "PREPARE TRANSACTION 'x'"]
)
async def test_a_file_that_ends_its_transaction_however_it_says_so_is_refused_and_leaves_nothing(
    installation: Installation, release: Release, end: str
) -> None:
    await installation.tenants(1)
    before = await installation.versions()
    name = release.add(f"ALTER TABLE {{schema}}.product ADD COLUMN half int; {end};\nSELECT 1;")

    with pytest.raises(MigrationFailedError, match="take BEGIN, COMMIT and the like out"):
        await installation.migrations(release).run()

    assert await installation.versions() == before
    release.rewrite(name, BARCODE)
    report = await installation.migrations(release).run()
    assert (report.complete, report.migrated) == (True, 1)


async def test_what_a_file_has_set_reaches_neither_the_next_file_nor_another_tenant(
    installation: Installation, release: Release
) -> None:
    tenants = await installation.tenants(3)
    release.add("SET search_path TO {schema}; SET work_mem = '65kB'")
    seen = "SELECT current_setting('search_path') AS path, current_setting('work_mem') AS memory"
    release.add(f"CREATE TABLE {{schema}}.seen AS {seen}; {_GUARDED.format('seen')}")

    report = await installation.migrations(release, shards=(0,), per_shard=1).run()

    assert (report.complete, report.migrated) == (True, 3)
    [(_, memory)] = await installation.fetch(0, seen)
    for tenant in tenants:
        [found] = await installation.fetch(0, f"SELECT * FROM tenant_{tenant}.seen")
        assert tuple(found) == ('""', memory)


async def test_a_file_that_needs_what_another_has_set_is_refused_in_the_rehearsal(
    installation: Installation, release: Release
) -> None:
    tenants = await installation.tenants(1)
    release.add("SET search_path TO {schema}; CREATE TABLE cart (n int);" + _GUARDED.format("cart"))
    name = release.add("UPDATE cart SET n = n + 1")

    with pytest.raises(MigrationFailedError, match=f"{name}.*nothing was touched"):
        await installation.migrations(release).run()

    assert await installation.versions() == dict.fromkeys(tenants, _newest(release) - 2)


@pytest.mark.parametrize(
    ("sql", "table"),
    [
        ("CREATE TABLE {schema}.cart (n int)", "cart"),
        ("CREATE TABLE {schema}.cart (n int); ALTER TABLE {schema}.cart ENABLE ROW LEVEL SECURITY", "cart"),
        ("ALTER TABLE {schema}.product DISABLE ROW LEVEL SECURITY", "product"),
    ],
)
async def test_a_table_that_keeps_no_other_tenant_out_is_refused_in_the_rehearsal(
    installation: Installation, release: Release, sql: str, table: str
) -> None:
    tenants = await installation.tenants(1)
    release.add(sql)

    with pytest.raises(MigrationFailedError, match=f"table {table} has no row level security"):
        await installation.migrations(release).run()

    assert await installation.versions() == dict.fromkeys(tenants, _newest(release) - 1)


async def test_a_schema_that_a_rehearsal_left_behind_stops_none_after_it(
    installation: Installation, release: Release
) -> None:
    await installation.tenants(1)
    owner = await installation.owner(0)
    await owner.execute(f"CREATE SCHEMA {SCRATCH}; CREATE TABLE {SCRATCH}.product (x int)")
    await owner.close()
    release.add(BARCODE)

    report = await installation.migrations(release).run()

    assert report.complete
    assert (await installation.drift(release)).clean
    assert await installation.fetch(0, "SELECT 1 FROM pg_namespace WHERE nspname = $1", SCRATCH) == []
