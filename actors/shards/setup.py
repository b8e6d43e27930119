"""Makes the 32 databases ready, as their owner: databases, roles, the mailboxes' journal, shared tables.

What is there stays; it may be run at every start, by several at once. Nothing but this and ``tenant_schema.py`` uses
the owner's credentials.
"""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter
from typing import Any, Final, NamedTuple

import asyncpg

from actors.shards.dsn import database_of, maintenance_dsn, server_of, shard_dsn
from actors.shards.errors import SetupError
from actors.shards.finding import connect
from actors.shards.migration_files import FOLDER, SHARED, MigrationFiles, Phase, pending
from actors.shards.migrations import migrate
from actors.shards.placement import SHARDS
from actors.shards.release_register import SHARED_SCOPE, keep_register
from actors.shards.roles import ROLES, role_password, scram_verifier
from actors.shards.sealing_key import keep_key, refuse_other_key
from actors.shards.translation import FOREIGN
from kernel.sql import quoted
from telemetry.log import get_logger

JOURNAL_SCHEMA: Final = Path(__file__).parents[1] / "mailbox" / "schema.sql"
_CONNECT_S: Final = 10.0
# Held by one set-up of a server at a time.
_ONE_AT_A_TIME: Final = "SELECT pg_advisory_lock(hashtextextended('spaza set-up', 0))"
_POWERS: Final = """
SELECT rolsuper AS superuser, rolbypassrls AS bypassrls, rolcreatedb AS createdb, rolcreaterole AS createrole,
       rolreplication AS replication
FROM pg_roles WHERE rolname = $1
"""
_log = get_logger("shards")


class SetupReport(NamedTuple):
    """What had to be done.

    Attributes:
        migrations_applied: to shared tables.
        tenants_behind: tenants whose schemas lack what the phase allows. They are left to ``TenantMigrations``.
    """

    databases_created: int
    migrations_applied: int
    tenants_behind: int
    seconds: float


async def set_up_shards(
    dsn_template: str,
    sealing_key_b64: str,
    other_keys_b64: Sequence[str] = (),
    *,
    phase: Phase | None = None,
    files: MigrationFiles | None = None,
    shards: Sequence[int] = range(SHARDS),
    parallel: int = 8,
    timeout_s: float = 300.0,
) -> SetupReport:
    """Make every shard ready.

    Args:
        dsn_template: of the owner, who may create databases and roles where they are missing.
        sealing_key_b64: from which the roles' passwords are derived. With another one than last time they get other
            passwords; who runs under the old ones keeps its connections, and is to be replaced.
        other_keys_b64: those under which something is sealed still.
        phase: ``PRE`` where older code may still run on these databases: what is to come after it is left out.
        files: instead of those of this installation.
        shards: instead of all.
        parallel: databases that are worked on at once.
        timeout_s: for all of it.

    Raises:
        WrongSealingKeyError: the databases are of another key.
        SetupError: saying what could not be made, and why.
        MigrationFailedError: a migration could not be applied; running again goes on from there.
        MigrationRefusedError: the files are not those that were applied, or an earlier release was not ended.
    """
    started = perf_counter()
    dsns = [shard_dsn(dsn_template, shard) for shard in shards]
    by_server: defaultdict[str, list[str]] = defaultdict(list)
    for dsn in dsns:
        by_server[server_of(dsn)].append(dsn)
    files = MigrationFiles.of() if files is None else files
    setup = _Setup(sealing_key_b64, other_keys_b64, files, phase, asyncio.Semaphore(parallel))
    try:
        async with asyncio.timeout(timeout_s):
            counts = await asyncio.gather(*(setup.server(of_server) for of_server in by_server.values()))
    except TimeoutError as error:
        raise SetupError("the shards", f"not done after {timeout_s:g} s") from error
    made, applied, behind = (sum(each) for each in zip(*counts, strict=True))
    report = SetupReport(made, applied, behind, perf_counter() - started)
    _log.info(
        "shards_set_up",
        databases_created=report.databases_created,
        migrations=report.migrations_applied,
        tenants_behind=report.tenants_behind,
    )
    return report


class _Setup:
    def __init__(
        self,
        sealing_key_b64: str,
        others_b64: Sequence[str],
        files: MigrationFiles,
        phase: Phase | None,
        turns: asyncio.Semaphore,
    ) -> None:
        self._key, self._others = sealing_key_b64, others_b64
        self._files, self._phase, self._turns = files, phase, turns
        self._bootstrap = (FOLDER / "bootstrap.sql").read_text(encoding="utf-8")
        self._journal = JOURNAL_SCHEMA.read_text(encoding="utf-8")

    async def server(self, dsns: Sequence[str]) -> tuple[int, int, int]:
        """Make the databases of one server ready.

        Returns:
            how many were made, the migrations applied, and the tenants that are behind.
        """
        async with AsyncExitStack() as stack:
            try:
                keeper = await connect(maintenance_dsn(dsns[0]), timeout_s=_CONNECT_S)
                stack.push_async_callback(keeper.close, timeout=_CONNECT_S)
                await keeper.execute(_ONE_AT_A_TIME)
                missing = await self._missing(keeper, dsns)
                await self._refuse_other_key([dsn for dsn in dsns if dsn not in missing])
                await self._roles(keeper)
            except FOREIGN as error:
                raise SetupError("the roles", _reason(error)) from error
            done: list[tuple[int, int]] = []
            if missing:
                # One is made and migrated, the others are copies of it, which is far quicker.
                first, *others = missing
                await self._create(keeper, database_of(first), None)
                done.append(await self._database(first))
                for other in others:
                    await self._create(keeper, database_of(other), database_of(first))
            # The copies as well: privileges of the database itself are not copied.
            rest = [dsn for dsn in dsns if not missing or dsn != missing[0]]
            done += await asyncio.gather(*(self._database(dsn) for dsn in rest))
        return len(missing), sum(applied for applied, _ in done), sum(behind for _, behind in done)

    async def _refuse_other_key(self, dsns: Sequence[str]) -> None:
        """Before anything is changed. One database stands for all; each is looked at again when it is its turn."""
        for dsn in dsns[:1]:
            connection = await connect(dsn, timeout_s=_CONNECT_S)
            try:
                await refuse_other_key(connection, database_of(dsn), self._key, self._others)
            finally:
                await connection.close(timeout=_CONNECT_S)

    async def _roles(self, keeper: "asyncpg.Connection[Any]") -> None:
        for role in ROLES:
            if not await keeper.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role):
                await keeper.execute(f"CREATE ROLE {role}")
            verifier = scram_verifier(role_password(self._key, role), secrets.token_bytes(16))
            await keeper.execute(f"ALTER ROLE {role} LOGIN PASSWORD '{verifier}'")
            # A new role has none of these. To take them away needs a superuser, so who gave them is to do it.
            powers = await keeper.fetchrow(_POWERS, role)
            if powers is not None and (held := [name for name, has in powers.items() if has]):
                raise SetupError(f"role {role}", f"it must not have {', '.join(held)}")

    async def _missing(self, keeper: "asyncpg.Connection[Any]", dsns: Sequence[str]) -> list[str]:
        there = await keeper.fetch(
            "SELECT datname FROM pg_database WHERE datname = ANY($1::text[])", [*map(database_of, dsns)]
        )
        names = {row["datname"] for row in there}
        return [dsn for dsn in dsns if database_of(dsn) not in names]

    async def _create(self, keeper: "asyncpg.Connection[Any]", database: str, template: str | None) -> None:
        copied = "" if template is None else f" TEMPLATE {quoted(template)}"
        try:
            await keeper.execute(f"CREATE DATABASE {quoted(database)}{copied}")
        except FOREIGN as error:
            raise SetupError(f"database {database}", _reason(error)) from error

    async def _database(self, dsn: str) -> tuple[int, int]:
        database = database_of(dsn)
        async with self._turns:
            try:
                connection = await connect(dsn, timeout_s=_CONNECT_S)
                try:
                    await connection.execute(self._bootstrap.replace("{database}", quoted(database)))
                    await keep_key(connection, database, self._key, self._others)
                    await connection.execute(self._journal)
                    versions = await keep_register(connection, database, *self._files)
                    wanted = pending(self._files.shared, versions.shared, self._phase)
                    applied = await migrate(connection, SHARED_SCOPE, wanted, folder=SHARED)
                    return applied, sum(self._is_behind(version) for version in versions.tenants.values())
                finally:
                    await connection.close(timeout=_CONNECT_S)
            except FOREIGN as error:
                raise SetupError(f"database {database}", _reason(error)) from error

    def _is_behind(self, version: int) -> bool:
        """Whether a tenant lacks what this code needs, or may have."""
        missing = self._files.tenant[version:]
        return any(one.phase is Phase.PRE for one in missing) if self._phase is Phase.PRE else bool(missing)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
