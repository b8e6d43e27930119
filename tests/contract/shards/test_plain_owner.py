"""Set-up and upkeep by an owner who is no superuser, as a managed PostgreSQL gives it."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from actors.shards.dsn import shard_dsn
from actors.shards.errors import SetupError
from actors.shards.roles import SYSTEM_ROLE, role_password
from actors.shards.setup import set_up_shards
from tests.contract.shards.conftest import KEY
from tests.servers import postgres

_DAY_S = 86_400


@pytest.fixture
async def template(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[str, str]]:
    """The DSN template of such an owner, and the DSN of the superuser."""
    folder: Path = tmp_path_factory.mktemp("plain")
    with postgres(folder) as server:
        superuser = server.database_dsn("postgres")
        keeper = await asyncpg.connect(superuser)
        await keeper.execute("CREATE ROLE plain LOGIN CREATEDB CREATEROLE PASSWORD 'secret'")
        await keeper.close()
        host = urlsplit(shard_dsn(server.tcp_dsn, 0))
        yield f"postgresql://plain:secret@{host.hostname}:{host.port}/plain_{{shard}}", superuser


async def test_an_owner_without_privileges_of_a_superuser_sets_up_and_keeps_what_is_unsettled(
    template: tuple[str, str],
) -> None:
    dsn, superuser = template

    await set_up_shards(dsn, KEY)
    await set_up_shards(dsn, KEY)

    owner = await asyncpg.connect(shard_dsn(dsn, 0))
    system = await asyncpg.connect(shard_dsn(dsn, 0, SYSTEM_ROLE, role_password(KEY, SYSTEM_ROLE)))
    try:
        await owner.execute("SELECT spaza.maintain_mailbox(0, 1000, (now() AT TIME ZONE 'UTC')::date - 10)")
        day = int(time.time()) // _DAY_S - 10
        await system.execute(
            "INSERT INTO spaza.journal (published_on, queue, partition, message_id, tenant_id, key, priority,"
            " published_at, headers, body, checksum, transactional) SELECT DATE '1970-01-01' + $1::int, 'q', 0, id, '',"
            " 'k', 0, now(), '{}', '', 0, false FROM unnest($2::text[]) AS id",
            day,
            ["done", "waiting"],
        )
        await system.execute(
            "INSERT INTO spaza.settlement (published_on, queue, partition, seq, outcome, reason, deliveries)"
            " SELECT published_on, queue, partition, seq, 'acknowledged', '', 1 FROM spaza.journal"
            " WHERE message_id = 'done'"
        )

        maintain = "SELECT made, dropped FROM spaza.maintain_mailbox(3, 7, (now() AT TIME ZONE 'UTC')::date)"
        upkeep = await system.fetchrow(maintain)

        assert upkeep is not None
        assert upkeep["dropped"] == 1
        assert [row[0] for row in await system.fetch("SELECT message_id FROM spaza.journal")] == ["waiting"]
    finally:
        await owner.close()
        await system.close()

    keeper = await asyncpg.connect(superuser)
    await keeper.execute(f"ALTER ROLE {SYSTEM_ROLE} BYPASSRLS")
    await keeper.close()
    with pytest.raises(SetupError, match="bypassrls"):
        await set_up_shards(dsn, KEY)
