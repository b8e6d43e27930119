"""The drift report names what differs from a schema that is made anew, and changes nothing."""

from typing import Any

import pytest

from actors.shards.migration_errors import MigrationChangedError
from tests.contract.migrations.conftest import Installation
from tests.migration_folders import REAL, Release

_LOST_CHECK = ("missing", "constraint", "product.product_stock_check")


async def _found(installation: Installation, release: Release) -> list[tuple[str, str, str]]:
    report = await installation.drift(release)
    assert not report.clean
    (one,) = report.drifted
    assert one.hash != one.expected_hash
    return [(difference.what, difference.kind, difference.name) for difference in one.differences]


async def test_tenants_of_every_version_are_clean_however_they_came_there(
    installation: Installation, release: Release
) -> None:
    migrated, newer = *await installation.tenants(1), ""
    release.add(REAL)
    await installation.migrations(release).run()
    (newer,) = await installation.tenants(0, 1)
    release.add("ALTER TABLE {schema}.product ADD COLUMN colour text;")

    report = await installation.drift(release)

    newest = len(release.files.tenant)
    assert (report.clean, report.checked, report.versions) == (True, 2, {newest - 1: 2})
    # Two ways, two shards, one hash.
    assert len(report.hashes[newest - 1]) == 1
    assert migrated != newer


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("ALTER TABLE {0}.product DROP COLUMN image_url", ("missing", "column", "product.image_url")),
        ("ALTER TABLE {0}.product ADD COLUMN extra int", ("extra", "column", "product.extra")),
        ("ALTER TABLE {0}.product ALTER name DROP NOT NULL", ("changed", "column", "product.name")),
        ("ALTER TABLE {0}.product ALTER description SET DEFAULT 'x'", ("changed", "column", "product.description")),
        ("CREATE INDEX sneaky ON {0}.product (name)", ("extra", "index", "sneaky")),
        ("DROP INDEX {0}.outgoing_message_wamid", ("missing", "index", "outgoing_message_wamid")),
        ("ALTER POLICY tenant ON {0}.product USING (true)", ("changed", "policy", "product.tenant")),
        ("DROP POLICY tenant ON {0}.profile", ("missing", "policy", "profile.tenant")),
        ("ALTER TABLE {0}.product NO FORCE ROW LEVEL SECURITY", ("changed", "table", "product")),
        ("GRANT SELECT ON {0}.product TO spaza_system", ("extra", "grant", "product")),
        ("REVOKE USAGE ON SCHEMA {0} FROM spaza_app", ("missing", "grant", "schema")),
        ("ALTER TABLE {0}.product DROP CONSTRAINT product_stock_check", _LOST_CHECK),
        ("DROP TABLE {0}.message_status", ("missing", "table", "message_status")),
        ("CREATE TABLE {0}.surprise (id int PRIMARY KEY)", ("extra", "table", "surprise")),
        ("CREATE FUNCTION {0}.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", ("extra", "function", "f()")),
    ],
)  # fmt: skip
async def test_what_differs_is_named(
    installation: Installation, release: Release, change: str, difference: tuple[str, str, str]
) -> None:
    tenants = await installation.tenants(2, 1)
    await installation.fetch(0, change.format(f"tenant_{tenants[1]}"))

    assert difference in await _found(installation, release)


async def test_a_table_that_is_missing_is_one_difference_and_not_one_for_each_of_its_columns(
    installation: Installation, release: Release
) -> None:
    (tenant,) = await installation.tenants(1)
    await installation.fetch(0, f"DROP TABLE tenant_{tenant}.message_status")

    assert [(what, kind) for what, kind, _ in await _found(installation, release)] == [
        ("missing", "index"), ("missing", "table"),
    ]  # fmt: skip


async def test_schemas_without_a_version_and_versions_without_a_schema_are_named(
    installation: Installation, release: Release
) -> None:
    gone, stray = f"tenant_{'a' * 32}", f"tenant_{'b' * 32}"
    await installation.fetch(0, "INSERT INTO spaza.schema_version VALUES ($1, 1)", gone)
    await installation.fetch(0, f"CREATE SCHEMA {stray}")

    report = await installation.drift(release)

    assert [(one.scope, one.note.split(":")[0]) for one in report.drifted] == [
        (gone, "its version row has no schema"), (stray, "it has no version row"),
    ]  # fmt: skip


async def test_a_look_for_drift_changes_nothing(installation: Installation, release: Release) -> None:
    await installation.tenants(1)

    async def state() -> Any:
        rows = await installation.fetch(0, "SELECT oid, xmin, relname FROM pg_class ORDER BY oid")
        return rows, await installation.fetch(0, "SELECT xmin, * FROM spaza.schema_version ORDER BY scope")

    before = await state()
    await installation.drift(release)

    assert await state() == before


async def test_against_files_that_were_changed_nothing_is_compared(
    installation: Installation, release: Release
) -> None:
    await installation.tenants(1)
    release.rewrite("0001_pre_profile_and_product", "CREATE TABLE {schema}.other ();")

    with pytest.raises(MigrationChangedError, match="0001_pre_profile_and_product"):
        await installation.drift(release)
