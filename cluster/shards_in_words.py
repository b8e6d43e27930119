"""What a start has done to the databases, in the few words of a line on the screen."""

from actors.shards.migration_report import MigrationReport
from actors.shards.setup import SetupReport

_MIGRATE = "`spaza migrate` mends that"


def shards_in_words(setup: SetupReport, migrations: MigrationReport | None) -> str:
    """One line; tenants that are behind are always in it.

    Args:
        setup: of the databases.
        migrations: of the tenants, where the start migrated them.
    """
    words = ["32 databases"]
    if setup.migrations_applied:
        words = [f"{setup.databases_created} made, {setup.migrations_applied} migrations"]
    if migrations is None:
        if setup.tenants_behind:
            words.append(f"{setup.tenants_behind:,} tenants are older than this code, {_MIGRATE}")
        return "; ".join(words)
    words.append(f"{migrations.migrated:,} tenants migrated")
    if migrations.stopped:
        words.append(f"then the canary {migrations.failed[0].tenant_id} failed and the others were left, {_MIGRATE}")
    elif migrations.failed or migrations.shards:
        words.append(f"{len(migrations.failed) + sum(one.tenants for one in migrations.shards):,} failed, {_MIGRATE}")
    if migrations.cut:
        words.append(f"the others are still older than this code, {_MIGRATE}")
    return "; ".join(words)
