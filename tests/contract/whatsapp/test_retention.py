"""Inbound messages and platform events stand in a week of Meta's time, and go with it; duplicates stay duplicates."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any, NamedTuple

import asyncpg
import pytest

from actors.mailbox.transactional import TransactionalPublisher
from actors.shards.access import ShardAccess
from actors.shards.chores import Chores
from actors.shards.dsn import shard_dsn
from actors.shards.errors import UnitFailedError
from actors.shards.migration_files import FOLDER, load_migrations
from actors.shards.migrations import migrate
from actors.shards.pool import ShardPools
from actors.shards.release_register import SHARED_SCOPE
from actors.shards.roles import role_password
from actors.shards.tenant_schema import TenantSchemas
from actors.shards.unit import UnitCall
from cluster.postgres import PostgresServer
from config.topology import DECLARED
from config.topology_file import load_topology
from kernel.identifiers import new_id
from services.units import CHORES, UNITS
from services.whatsapp.conversation import Merchant
from services.whatsapp.inbound import Customer, InboundEvent, InboundMessage
from services.whatsapp.store import (
    DAYS_KEPT,
    MAINTAIN,
    PLATFORM_EVENTS,
    RECEIVE,
    PlatformEventsArguments,
    ReceiveArguments,
    ReceiveResult,
)
from tests.contract.whatsapp.conftest import KEY

_shards = count(8)
# A Wednesday. Far from now, so that the weeks which the migration has made are not in the way.
TODAY = date(2031, 6, 11)
NOON = datetime(2031, 6, 11, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


class Maintained(NamedTuple):
    made: int
    dropped: int
    removed: int


class Shard:
    """A database of the test's own with one tenant, maintained as if on a given day."""

    def __init__(self, number: int, owner: "asyncpg.Connection[Any]", pools: ShardPools, tenant_id: str) -> None:
        self.number, self.owner, self.pools, self.tenant_id = number, owner, pools, tenant_id

    async def maintain(self, today: date = TODAY, *, weeks_ahead: int = 1, days_kept: int = DAYS_KEPT) -> Maintained:
        row = await self.owner.fetchrow(
            "SELECT * FROM spaza.maintain_inbound($1, $2, $3)", weeks_ahead, days_kept, today
        )
        assert row is not None
        return Maintained(*row)

    async def receive(self, wamid: str, sent_at: datetime, received_at: datetime | None = None) -> ReceiveResult:
        message = InboundMessage(wamid, "100", sent_at, "text", Customer(None, "27821110001"), None, "Hi", b"{}", "c")
        now = (sent_at if received_at is None else received_at).timestamp()
        call = UnitCall(RECEIVE, self.number, self.tenant_id, ReceiveArguments(Merchant("Shop"), (message,), now))
        result = (await self.pools.run([call], 60.0))[0].unwrap()
        assert isinstance(result, ReceiveResult)
        return result

    async def notice(self, event_id: str, occurred_at: datetime) -> None:
        event = InboundEvent(event_id, "", "200", "account_update", occurred_at, b"{}")
        call = UnitCall(PLATFORM_EVENTS, self.number, "", PlatformEventsArguments((event,), occurred_at.timestamp()))
        (await self.pools.run([call], 60.0))[0].unwrap()

    async def standing(self, parent: str = "inbound_message", key: str = "message_id") -> dict[str, str]:
        """By id, the table in which a row stands."""
        rows = await self.owner.fetch(
            f"SELECT {key}, c.relname FROM spaza.{parent} p JOIN pg_class c ON c.oid = p.tableoid"
        )
        return {row[0]: row[1] for row in rows}

    async def partitions(self, parent: str = "inbound_message") -> list[str]:
        rows = await self.owner.fetch(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = $1::text::regclass ORDER BY 1",
            f"spaza.{parent}",
        )
        return [row[0].removeprefix(f"{parent}_") for row in rows]


@pytest.fixture
async def shard(server: PostgresServer) -> AsyncIterator[Shard]:
    number, tenant_id = next(_shards), new_id()
    await TenantSchemas(server.dsn).create(tenant_id, number)
    publisher = TransactionalPublisher(load_topology(DECLARED))
    pools = ShardPools(ShardAccess.derive(server.dsn, KEY), [number], UNITS, publisher)
    owner = await asyncpg.connect(shard_dsn(server.dsn, number))
    yield Shard(number, owner, pools, tenant_id)
    await owner.close()
    await pools.aclose()


async def test_weeks_are_made_ahead_once(shard: Shard) -> None:
    first = await shard.maintain()
    again = await shard.maintain()

    assert (first.made, again) == (4, Maintained(0, 0, 0))
    for parent in ("inbound_message", "platform_event"):
        assert {"20310609", "20310616"} <= set(await shard.partitions(parent))


async def test_a_new_database_has_this_week_and_the_next(shard: Shard) -> None:
    # The day on which it was set up, which may be another by now.
    today = await shard.owner.fetchval(
        "SELECT (released_at AT TIME ZONE 'UTC')::date FROM spaza.schema_migration WHERE name = '0003_pre_retention'"
    )
    monday = today - timedelta(days=today.weekday())

    assert await shard.partitions() == [f"{monday:%Y%m%d}", f"{monday + WEEK:%Y%m%d}", "default"]


async def test_a_message_stands_in_the_week_in_which_it_was_sent_by_utc(shard: Shard) -> None:
    await shard.owner.execute("SET timezone = 'Pacific/Auckland'")
    await shard.maintain()
    monday = datetime(2031, 6, 16, tzinfo=UTC)

    await shard.receive("before", monday - timedelta(seconds=1))
    await shard.receive("at", monday)
    await shard.notice("event", monday)

    assert await shard.standing() == {"before": "inbound_message_20310609", "at": "inbound_message_20310616"}
    assert await shard.standing("platform_event", "event_id") == {"event": "platform_event_20310616"}


async def test_a_week_is_kept_until_its_last_day_is_old_enough(shard: Shard) -> None:
    await shard.maintain(weeks_ahead=0)
    await shard.receive("w1", NOON)
    await shard.notice("e1", NOON)
    over = date(2031, 6, 16)

    kept = await shard.maintain(over + timedelta(days=DAYS_KEPT - 1))
    assert (kept.dropped, await shard.standing()) == (0, {"w1": "inbound_message_20310609"})
    gone = await shard.maintain(over + timedelta(days=DAYS_KEPT))

    assert gone.dropped == 2
    assert (await shard.standing(), await shard.standing("platform_event", "event_id")) == ({}, {})
    assert "20310609" not in await shard.partitions()


async def test_a_week_whose_first_rows_are_in_the_default_partition_stays_there(shard: Shard) -> None:
    await shard.receive("early", NOON)

    maintained = await shard.maintain()

    # Of the messages the coming week alone, of the events both.
    assert maintained.made == 3
    assert (await shard.receive("early", NOON)).duplicates == 1
    assert (await shard.receive("later", NOON + timedelta(hours=1))).fresh == 1
    assert await shard.standing() == {"early": "inbound_message_default", "later": "inbound_message_default"}


async def test_the_default_partition_is_cleared_of_what_is_old(shard: Shard) -> None:
    old = NOON - timedelta(days=DAYS_KEPT + 1)
    await shard.receive("old", old)
    await shard.receive("late", old, received_at=NOON)
    await shard.receive("recent", NOON)
    await shard.notice("old", old)

    maintained = await shard.maintain()

    assert maintained.removed == 2
    # What came a month late comes again for a week.
    assert set(await shard.standing()) == {"late", "recent"}
    assert await shard.standing("platform_event", "event_id") == {}


@pytest.mark.parametrize("maintained_before", [True, False])
async def test_a_redelivery_within_seven_days_is_recognised_over_every_change_of_partitions(
    shard: Shard, maintained_before: bool
) -> None:
    if maintained_before:
        await shard.maintain()
    await shard.receive("w1", NOON)

    for day in range(8):
        await shard.maintain(TODAY + timedelta(days=day))
        again = await shard.receive("w1", NOON, received_at=NOON + timedelta(days=day))
        assert again == ReceiveResult(fresh=0, duplicates=1, replies=0)

    assert len(await shard.standing()) == 1


async def test_row_level_security_is_forced_on_every_partition(shard: Shard, server: PostgresServer) -> None:
    await shard.maintain()
    await shard.receive("w1", NOON)

    unforced = await shard.owner.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'spaza'::regnamespace AND relkind IN ('r', 'p')"
        " AND relname ~ '^(inbound_message|platform_event)' AND NOT (relrowsecurity AND relforcerowsecurity)"
    )

    assert unforced == []
    for role in ("spaza_app", "spaza_system"):
        stranger = await asyncpg.connect(shard_dsn(server.dsn, shard.number, role, role_password(KEY, role)))
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await stranger.fetch("SELECT * FROM spaza.inbound_message_20310609")
            seen = await stranger.fetchval("SELECT count(*) FROM spaza.inbound_message")
            assert seen == (1 if role == "spaza_system" else 0)
        finally:
            await stranger.close()


async def test_the_chores_of_the_shards_are_allowed_to_maintain_and_tenants_are_not(shard: Shard) -> None:
    today = datetime.now(UTC)
    await shard.receive("old", today - timedelta(days=DAYS_KEPT + 1))

    assert await Chores(shard.pools.run, [shard.number], CHORES).once()

    assert await shard.standing() == {}
    as_tenant = (await shard.pools.run([UnitCall(MAINTAIN, shard.number, shard.tenant_id, None)], 60.0))[0]
    assert isinstance(as_tenant.error, UnitFailedError)
    assert as_tenant.error.sqlstate == "42501"


async def test_who_holds_a_lock_is_not_waited_for_long_and_nothing_is_half_done(
    shard: Shard, server: PostgresServer
) -> None:
    reader = await asyncpg.connect(shard_dsn(server.dsn, shard.number))
    await shard.receive("old", NOON - timedelta(days=DAYS_KEPT + 1))
    try:
        async with reader.transaction():
            await reader.execute("LOCK TABLE spaza.platform_event IN ACCESS SHARE MODE")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await shard.maintain()
    finally:
        await reader.close()

    assert set(await shard.standing()) == {"old"}
    at_last = await shard.maintain()
    assert (at_last.made, at_last.removed) == (4, 1)


@pytest.mark.parametrize(("weeks_ahead", "days_kept"), [(9, 30), (-1, 30), (1, 7)])
async def test_a_retention_that_would_lose_duplicates_is_refused(
    shard: Shard, weeks_ahead: int, days_kept: int
) -> None:
    with pytest.raises(asyncpg.RaiseError):
        await shard.maintain(weeks_ahead=weeks_ahead, days_kept=days_kept)


async def test_an_installation_that_has_messages_already_keeps_them_and_goes_on(server: PostgresServer) -> None:
    keeper = await asyncpg.connect(server.database_dsn("postgres"))
    await keeper.execute("CREATE DATABASE upgraded")
    await keeper.close()
    owner = await asyncpg.connect(server.database_dsn("upgraded"))
    migrations = load_migrations(FOLDER / "shared")
    insert = """
        INSERT INTO spaza.inbound_message VALUES ('t', $1, $2, 'text', '', $2)
        ON CONFLICT DO NOTHING RETURNING message_id
    """
    now = datetime.now(UTC)
    try:
        await owner.execute((FOLDER / "bootstrap.sql").read_text().replace("{database}", "upgraded"))
        await migrate(owner, SHARED_SCOPE, migrations[:2])
        await owner.execute(insert, "before", now)

        await migrate(owner, SHARED_SCOPE, migrations)

        assert await owner.fetchval(insert, "before", now) is None
        assert await owner.fetchval(insert, "after", now) == "after"
        assert await owner.fetchval(insert, "next week", now + WEEK) == "next week"
    finally:
        await owner.close()
