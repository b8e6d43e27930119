"""``spaza migrate``: works on the databases as their owner, beside a running instance or without any."""

import argparse
import asyncio
import base64
import json
import os
from collections.abc import Mapping

from rich.console import Console

from actors.shards.drift import drift
from actors.shards.errors import ShardError
from actors.shards.migration_errors import MigrationRefusedError
from actors.shards.migration_files import FOLDER, MigrationFiles, Phase
from actors.shards.migration_run import TenantMigrations
from actors.shards.migrations import Patience
from actors.shards.owner import MigrationLimits
from actors.shards.placement import SHARDS
from cluster import migrate_documents, migrate_text
from cluster.migrate_screen import MigrationScreen
from cluster.owner_dsn import owner_dsn
from cluster.plain_lines import print_lines, say
from config.settings import Settings, SettingsError, load_settings
from telemetry.log import configure_logging

DONE, NOT_DONE, REFUSED = 0, 1, 2
# What an instance cannot start without is not needed here.
_NO_KEY = base64.b64encode(bytes(32)).decode()


def run(given: argparse.Namespace, environment: Mapping[str, str] | None = None) -> int:
    """Run the command.

    Returns:
        0 when all is as it should be; 1 where a tenant or a shard is not, or differs; 2 where nothing was done, for
        files and databases do not go together.
    """
    settings = load_settings(os.environ if environment is None else environment, demo_key=_NO_KEY)
    # What fails is in the report; lines of log would only stand between those of the progress.
    configure_logging("ERROR")
    dsn = owner_dsn(settings.data_dir.expanduser().absolute(), settings.postgres.dsn)
    try:
        migrations = TenantMigrations(dsn, _files(given), _limits(given))
        return asyncio.run(_run(migrations, given, settings))
    except ShardError as error:
        return _refused(error, given)
    except ValueError as error:
        # A DSN that is none; its text is never quoted, for it may hold a password.
        raise SettingsError((f"SPAZA_POSTGRES__DSN: {error}",)) from None


async def _run(migrations: TenantMigrations, given: argparse.Namespace, settings: Settings) -> int:
    console = Console(highlight=False, soft_wrap=True)
    phase = None if given.phase is None else Phase(given.phase)
    canaries = tuple(dict.fromkeys((*(given.canaries or ()), *settings.migrations.canaries)))
    if given.drift or given.what == "drift":
        found = await drift(migrations, range(SHARDS))
        _say(console, given, migrate_documents.drift(found), migrate_text.drift(found))
        return DONE if found.clean else NOT_DONE
    if given.dry_run:
        plan = await migrations.plan(phase, canaries)
        _say(console, given, migrate_documents.plan(plan), migrate_text.plan(plan))
        return DONE if not plan.silent else NOT_DONE
    with MigrationScreen(as_json=given.json) as screen:
        report = await migrations.run(phase, canaries, watch=screen.show)
    _say(console, given, migrate_documents.report(report), migrate_text.report(report))
    return DONE if report.complete else NOT_DONE


def _files(given: argparse.Namespace) -> MigrationFiles:
    folder = FOLDER if given.files is None else given.files
    if not (folder / "tenant").is_dir():
        raise SettingsError((f"--files: {folder} has no folder tenant/ with migrations",))
    try:
        return MigrationFiles.of(folder)
    except ValueError as error:
        raise SettingsError((f"migrations of {folder}: {error}",)) from None


def _limits(given: argparse.Namespace) -> MigrationLimits:
    patience = Patience(given.lock_timeout_ms, given.attempts, given.statement_timeout_s)
    return MigrationLimits(given.per_shard, given.connections, patience=patience)


def _refused(error: ShardError, given: argparse.Namespace) -> int:
    if given.json:
        print(json.dumps({"complete": False, "refused": {"code": error.code, "message": str(error)}}, indent=1))
    else:
        say(f"{str(error)[0].upper()}{str(error)[1:]}.")
    return REFUSED if isinstance(error, MigrationRefusedError) else NOT_DONE


def _say(console: Console, given: argparse.Namespace, document: dict[str, object], lines: list[str]) -> None:
    if given.json:
        print(json.dumps(document, indent=1))
        return
    print_lines(lines, console)
