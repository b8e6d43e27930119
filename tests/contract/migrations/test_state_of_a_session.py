"""What a migration sets ends with it, whoever comes next on its connection; and none leaves a table open."""

import pytest

from actors.shards.errors import MigrationFailedError
from actors.shards.migration_files import SHARED, TENANT, filled
from actors.shards.migrations import Patience
from actors.shards.release_register import QUERIES
from actors.shards.release_register import release as entered
from actors.shards.tenant_move import TenantMoves
from tests.contract.migrations.conftest import Installation
from tests.migration_folders import REAL, Release

CART = REAL[REAL.index("CREATE TABLE") :].replace("supplier", "cart").replace("name ", "n integer NOT NULL, name ")
CART += "INSERT INTO {schema}.cart (id, name, n) VALUES ('one', '', 0);"
PATH = "SET search_path = {schema};"
LOCKED = "SELECT pg_advisory_xact_lock(hashtextextended('spaza migration ' || $1, 0))"
IMPATIENT = Patience(lock_ms=50, attempts=1)
CART_OF = "SELECT n FROM tenant_{0}.cart"


async def _carts(installation: Installation, tenants: list[str]) -> list[int]:
    return [(await installation.fetch(0, CART_OF.format(tenant)))[0][0] for tenant in tenants]


@pytest.mark.parametrize("what", [PATH, "SET LOCAL search_path = {schema};"])
async def test_a_path_that_a_file_sets_carries_no_other_into_another_tenants_schema(
    installation: Installation, release: Release, what: str
) -> None:
    first, second = sorted(await installation.tenants(2))
    release.add(f"{what} {CART}")
    async with (owner := await installation.owner(0)).transaction():
        # So only the second gets the file now, and the first leaves its path just before the second's turn.
        await owner.fetch(LOCKED, f"tenant_{first}")
        report = await installation.migrations(release, per_shard=1, patience=IMPATIENT).run()
    await owner.close()
    assert [one.tenant_id for one in report.failed] == [first]
    unqualified = release.add("UPDATE cart SET n = n + 1;")

    with pytest.raises(MigrationFailedError, match=r"relation .cart. does not exist"):
        await installation.migrations(release, per_shard=1).run()
    release.rewrite(unqualified, "UPDATE {schema}.cart SET n = n + 1;")
    report = await installation.migrations(release, per_shard=1).run()

    assert report.complete
    assert await _carts(installation, [first, second]) == [1, 1]
    (newest,) = await installation.tenants(1)
    assert await _carts(installation, [newest]) == [1]


@pytest.mark.parametrize(
    "left",
    [
        "SET ROLE spaza_app;",
        "SET SESSION AUTHORIZATION spaza_app;",
        "SET session_replication_role = replica;",
        "SET app.current_tenant = '{tenant_id}';",
        "SET mine.own = 'x';",
        "CREATE TEMP TABLE left_over AS SELECT 1;",
        "SELECT pg_advisory_lock(4712);",
        "SET statement_timeout = 0; SET lock_timeout = '1h';",
    ],
)
async def test_whatever_a_file_leaves_the_next_tenant_and_the_next_file_do_not_find_it(
    installation: Installation, release: Release, left: str
) -> None:
    tenants = await installation.tenants(2)
    release.add(CART)
    release.add(left)
    release.add(
        """
        DO $look$ BEGIN
            IF current_user <> session_user OR session_user = 'spaza_app'
                OR current_schemas(false) <> '{}'
                OR to_regclass('left_over') IS NOT NULL OR current_setting('session_replication_role') <> 'origin'
                OR nullif(current_setting('app.current_tenant', true), '') IS NOT NULL
                OR nullif(current_setting('mine.own', true), '') IS NOT NULL
                OR current_setting('lock_timeout') <> '2s' OR current_setting('statement_timeout') <> '10min'
                -- Of several files that are one transaction none is over before all are.
                OR (EXISTS (SELECT FROM pg_locks JOIN pg_database d ON d.oid = database AND datname = current_database()
                            WHERE locktype = 'advisory' AND objid = 4712)
                    AND EXISTS (SELECT FROM spaza.schema_version WHERE scope = '{schema}'))
            THEN
                RAISE EXCEPTION 'something is left';
            END IF;
        END $look$;
        """
    )

    report = await installation.migrations(release, per_shard=1).run()

    assert (report.complete, report.failed) == (True, ())
    assert await _carts(installation, tenants) == [0, 0]
    assert await installation.tenants(1)


async def test_a_tenant_whose_migrations_set_the_session_moves_with_all_its_rows(
    installation: Installation, release: Release
) -> None:
    release.add(f"SET ROLE spaza_app; RESET ROLE; SET app.current_tenant = ''; {PATH} {CART}")
    release.add(PATH)
    tenant, _ = await installation.tenants(2)
    await installation.migrations(release).run()

    async with TenantMoves(installation.dsn).between(tenant, 0, 1) as move:
        await move.copy()
        await move.freeze()
        await move.open()
        await move.finish()

    assert (await installation.fetch(1, CART_OF.format(tenant)))[0][0] == 0


OPEN_TABLE = "CREATE TABLE {schema}.open (tenant_id text, id int PRIMARY KEY);"
ONE_SIDED = "DROP POLICY tenant ON {schema}.product; CREATE POLICY half ON {schema}.product TO spaza_app USING (true);"


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        (OPEN_TABLE, "table open has no row level security"),
        (f"{OPEN_TABLE} ALTER TABLE {{schema}}.open ENABLE ROW LEVEL SECURITY;", "table open has no row level"),
        ("ALTER TABLE {schema}.product DISABLE ROW LEVEL SECURITY;", "table product has no row level security"),
        ("ALTER TABLE {schema}.product NO FORCE ROW LEVEL SECURITY;", "table product has no row level security"),
        (ONE_SIDED, "policy half of table product is not both USING and WITH CHECK"),
    ],
)
async def test_a_file_that_leaves_a_tenants_table_open_is_refused_by_name_and_nobody_has_it(
    installation: Installation, release: Release, sql: str, named: str
) -> None:
    await installation.tenants(1)
    before = await installation.versions()
    name = release.add(sql)

    with pytest.raises(MigrationFailedError, match=f"{name}: {named}.*nothing was touched"):
        await installation.migrations(release).run()
    with pytest.raises(MigrationFailedError, match=f"{name}: {named}"):
        await installation.tenants(1, files=release.files)

    assert await installation.versions() == before
    assert (await installation.drift(release)).clean


async def test_a_shared_table_that_names_tenants_and_is_open_is_refused(
    installation: Installation, release: Release
) -> None:
    await installation.tenants(1)
    name = release.add("CREATE TABLE spaza.open (tenant_id text PRIMARY KEY);", kind=SHARED)

    with pytest.raises(MigrationFailedError, match=f"{name}: table open has no row level security"):
        await installation.migrations(release).run()

    assert await installation.fetch(0, "SELECT to_regclass('spaza.open')::text") == [(None,)]


async def test_a_tables_hole_that_only_shows_with_rows_is_refused_where_it_shows(
    installation: Installation, release: Release
) -> None:
    first, second = await installation.tenants(2)
    release.add(CART)
    assert (await installation.migrations(release).run()).complete
    await installation.fetch(0, f"UPDATE tenant_{second}.cart SET n = 7")
    name = release.add(
        "DO $$ BEGIN IF EXISTS (SELECT FROM {schema}.cart WHERE n = 7) THEN"
        " ALTER TABLE {schema}.cart DISABLE ROW LEVEL SECURITY; END IF; END $$;"
    )

    report = await installation.migrations(release).run()

    assert [(one.tenant_id, one.migration) for one in report.failed] == [(second, name)]
    assert "table cart has no row level security" in report.failed[0].reason
    newest = len(release.files.tenant)
    versions = await installation.versions()
    assert (versions[first], versions[second]) == (newest, newest - 1)


async def test_the_drift_report_names_tables_that_were_left_open_when_no_file_was_refused_for_it(
    installation: Installation, release: Release
) -> None:
    (tenant,) = await installation.tenants(1)
    release.add(OPEN_TABLE)
    release.add(ONE_SIDED)
    owner = await installation.owner(0)
    for migration in release.files.tenant[-2:]:
        await entered(owner, TENANT, migration)
        await owner.execute(filled(migration.sql, {"schema": f"tenant_{tenant}"}))
        await owner.execute(QUERIES["record_version"], f"tenant_{tenant}", migration.number)
    await owner.close()

    (found,) = (await installation.drift(release)).drifted

    assert (found.scope, found.differences) == (f"tenant_{tenant}", ())
    assert "table open" in found.note
    assert "policy product.half" in found.note
