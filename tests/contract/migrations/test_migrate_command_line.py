"""``spaza migrate`` as a process of its own, on a server that the settings name, with no instance anywhere."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from actors.shards.dsn import shard_dsn
from actors.shards.setup import set_up_shards
from actors.shards.tenant_schema import TenantSchemas
from cluster.postgres import PostgresServer
from kernel.identifiers import new_id
from tests.contract.migrations.conftest import KEY
from tests.migration_folders import REAL, Release

ROOT = Path(__file__).resolve().parents[3]
TENANTS = 24


class Command:
    """Runs ``spaza migrate`` on 32 databases of its own, with 24 tenants."""

    def __init__(self, dsn: str, data_dir: Path, files: Path) -> None:
        self.dsn = dsn
        self._files = files
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SPAZA_")}
        self._environment = {**kept, "SPAZA_POSTGRES__DSN": dsn, "SPAZA_DATA_DIR": str(data_dir)}

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        argv = [sys.executable, "-m", "cluster.cli", "migrate", "--files", str(self._files), *arguments]
        return subprocess.Popen(
            argv, cwd=ROOT, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    def json(self, *arguments: str) -> tuple[int, Any]:
        status, out, err = self.run("--json", *arguments)
        assert out, err
        return status, json.loads(out)

    async def execute(self, shard: int, statement: str) -> None:
        connection = await asyncpg.connect(shard_dsn(self.dsn, shard))
        await connection.execute(statement)
        await connection.close()


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path / "release")


@pytest.fixture
def tenants() -> list[str]:
    return [new_id() for _ in range(TENANTS)]


@pytest.fixture
def command(server: PostgresServer, tmp_path: Path, release: Release, tenants: list[str]) -> Iterator[Command]:
    name = f"c{new_id()}"
    dsn = server.database_dsn(f"{name}_{{shard}}")

    async def make() -> None:
        await set_up_shards(dsn, KEY)
        schemas = TenantSchemas(dsn)
        await asyncio.gather(*(schemas.create(tenant, place % 4) for place, tenant in enumerate(tenants)))

    async def drop() -> None:
        keeper = await asyncpg.connect(server.database_dsn("postgres"))
        for shard in range(32):
            await keeper.execute(f"DROP DATABASE {name}_{shard:02d} WITH (FORCE)")
        await keeper.close()

    asyncio.run(make())
    yield Command(dsn, tmp_path / "data", release.folder)
    asyncio.run(drop())


def test_a_release_is_planned_applied_and_looked_at(command: Command, release: Release, tenants: list[str]) -> None:
    added = release.add(REAL)

    status, plan = command.json("--dry-run", "--phase", "pre", "--canary", tenants[5])
    assert (status, plan["behind"], plan["canaries"]) == (0, TENANTS, [tenants[5]])
    assert {name for shard in plan["shards"] for one in shard["tenants"] for name in one["migrations"]} == {added}

    status, out, err = command.run("--phase", "pre", "--canary", tenants[5])
    assert status == 0, err
    assert f"{TENANTS} tenants migrated" in out
    assert f"{TENANTS} of {TENANTS} tenants" in err

    status, again = command.json()
    assert (status, again["complete"], again["migrated"], again["up_to_date"]) == (0, True, 0, TENANTS)
    status, drift = command.json("drift")
    assert (status, drift["clean"], drift["checked"]) == (0, True, TENANTS)


def test_a_tenant_that_fails_is_named_with_status_one_and_a_failing_canary_stops_the_rest(
    command: Command, release: Release, tenants: list[str]
) -> None:
    release.add("CREATE UNIQUE INDEX product_name ON {schema}.product (name);")
    twice = (
        f"INSERT INTO tenant_{tenants[0]}.product (sku, name, price_minor, currency, latitude, longitude)"
        " VALUES ('a', 'Bread', 1, 'ZAR', 0, 0), ('b', 'Bread', 1, 'ZAR', 0, 0)"
    )
    asyncio.run(command.execute(0, twice))

    status, stopped = command.json("--canary", tenants[0])
    assert (status, stopped["stopped_by_canary"], stopped["migrated"]) == (1, True, 0)
    status, rest = command.json("--canary", tenants[1])
    assert (status, rest["migrated"], [one["tenant_id"] for one in rest["failed"]]) == (1, TENANTS - 1, [tenants[0]])
    status, out, _ = command.run()
    assert status == 1
    assert f"tenant {tenants[0]} on shard 00 failed" in out
    assert "its rows do not fit" in out


def test_a_file_with_a_fault_is_refused_in_words(command: Command, release: Release) -> None:
    name = release.add("ALTER TABLE {schema}.product ADD COLUM barcode text;")

    status, out, err = command.run()

    assert (status, out) == (1, "")
    assert name in err
    assert "nothing was touched" in err


def test_drift_is_named_with_status_one(command: Command, tenants: list[str]) -> None:
    asyncio.run(command.execute(1, f"ALTER TABLE tenant_{tenants[1]}.product DROP COLUMN stock"))

    status, out, _ = command.run("--drift")

    assert status == 1
    assert f"tenant_{tenants[1]} on shard 01" in out
    assert "missing column product.stock: integer" in out


def test_a_command_that_is_killed_is_gone_on_with_by_the_next(command: Command, release: Release) -> None:
    release.add("SELECT pg_sleep(0.1);" + REAL)
    process = command.start("--json", "--per-shard", "1")
    time.sleep(1.6)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=300)

    status, rest = command.json()

    assert (status, rest["complete"], rest["up_to_date"] + rest["migrated"]) == (0, True, TENANTS)
    status, drift = command.json("--drift")
    assert (status, drift["clean"]) == (0, True)
