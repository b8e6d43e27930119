"""Provisioning that is killed with SIGKILL at any of its steps shows no half tenant, and a repeat makes one whole."""

import asyncio
import random

import pytest

from actors.shards.drift import drift
from actors.shards.migration_files import MigrationFiles
from actors.shards.migration_run import TenantMigrations
from actors.shards.placement import SHARDS
from cluster.postgres import PostgresServer
from kernel.identifiers import new_id
from tests.contract.migrations.conftest import KEY
from tests.killing import killed_after, killed_at, sessions_over
from tests.provisioned import Provisioner, new_number, schemas_of


async def _provision(dsn: str, number: str, key: str) -> str:
    provisioner = Provisioner(dsn, KEY)
    try:
        made = await provisioner.provision(number, key)
        # Whom the answer names is there for everybody.
        tenant = await provisioner.find(number)
        assert tenant is not None
        assert (tenant.tenant_id, tenant.shard) == (made.tenant_id, made.shard_id)
        versions = await schemas_of(dsn, made.shard_id)
        assert versions[f"tenant_{made.tenant_id}"] == len(MigrationFiles.of().tenant)
        return made.tenant_id
    finally:
        await provisioner.aclose()


async def _seen(dsn: str, number: str) -> str | None:
    """Whose a number is, as the way of a message finds it: nobody's, or that of a tenant which is whole."""
    provisioner = Provisioner(dsn, KEY)
    try:
        tenant = await provisioner.find(number)
    finally:
        await provisioner.aclose()
    if tenant is None:
        return None
    assert (tenant.name, tenant.latitude, tenant.waba_id) == (f"Shop {number}", -26.2485, "200000000000001")
    assert tenant.access_token_sealed
    versions = await schemas_of(dsn, tenant.shard)
    assert versions[f"tenant_{tenant.tenant_id}"] == len(MigrationFiles.of().tenant)
    return tenant.tenant_id


async def _no_schema_is_half(server: PostgresServer) -> None:
    await sessions_over(server.database_dsn("postgres"), "shard%")
    report = await drift(TenantMigrations(server.dsn, MigrationFiles.of()), range(SHARDS))
    assert report.clean, report.drifted


async def _once(dsn: str, number: str, key: str) -> None:
    provisioner = Provisioner(dsn, KEY)
    await provisioner.provision(number, key)
    await provisioner.aclose()


@pytest.mark.timeout(900)
def test_killed_at_any_step_a_tenant_is_whole_or_not_there_and_a_repeat_makes_it(server: PostgresServer) -> None:
    step, killed, visible = 0, True, []

    while killed:
        number, key = new_number(), new_id()

        async def provision(number: str = number, key: str = key) -> None:
            await _once(server.dsn, number, key)

        killed = killed_at(step, provision, after=True)
        before = asyncio.run(_seen(server.dsn, number))
        tenant_id = asyncio.run(_provision(server.dsn, number, key))

        assert before in {None, tenant_id}, step
        visible.append(before is not None)
        step += 1

    assert step > 25
    # Not in between: tenants whose shards coincide open fewer connections, so one step is not the same for all.
    assert visible[0] is False
    assert visible[-1] is True
    asyncio.run(_no_schema_is_half(server))


@pytest.mark.timeout(900)
def test_killed_at_a_random_moment_of_many_at_once_all_are_whole_in_the_end(server: PostgresServer) -> None:
    wanted = {new_number(): new_id() for _ in range(12)}
    chance = random.Random()

    async def provision_all() -> None:
        provisioner = Provisioner(server.dsn, KEY)
        await asyncio.gather(*(provisioner.provision(number, key) for number, key in wanted.items()))
        await provisioner.aclose()

    kills = 0
    while killed_after(chance.uniform(0.05, 0.3) * 1.2**kills, provision_all):
        kills += 1
        asyncio.run(_no_schema_is_half(server))
        for number in wanted:
            asyncio.run(_seen(server.dsn, number))

    made = {number: asyncio.run(_seen(server.dsn, number)) for number in wanted}
    assert None not in made.values()
    assert len(set(made.values())) == len(wanted)
