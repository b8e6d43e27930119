"""From Meta's bytes to recorded sends, on a real shard and Redis; mailbox, directory and Graph are doubles."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from actors.mailbox.message import Delivery, Message, Outcome, PublishedRow
from actors.shards.pool import ShardPools
from actors.shards.tenant_schema import TenantSchemas
from actors.shards.unit import UnitCall, UnitOutcome
from cache.claims import Claims
from cache.connection import RedisConnection
from cache.marks import Marks
from cluster.postgres import PostgresServer
from integrations.whatsapp.errors import DoubtfulSendError, WhatsAppError
from integrations.whatsapp.schemas import SentMessage
from kernel.identifiers import new_id
from services.notifications.dispatch import Dispatcher
from services.notifications.records import Records
from services.notifications.service import NotificationService
from services.tenants.tenant import Tenant
from services.whatsapp.envelope import split
from services.whatsapp.errors import NotAnEnvelopeError
from services.whatsapp.processor import InboundProcessor
from tests.contract.whatsapp.conftest import SHARD
from tests.servers import PATIENT_REDIS, redis


class EveryNumberIsOurs:
    """A directory in which every number belongs to one tenant, on the shard of these tests."""

    def __init__(self, tenant_id: str) -> None:
        self.tenant_id = tenant_id

    async def by_phones(self, phone_number_ids: Collection[str]) -> Mapping[str, Tenant | None]:
        return {
            number: Tenant(self.tenant_id, "Thandi's Spaza", SHARD, 1, "active", number, "+27", "sealed", 0.0, 0.0)
            for number in phone_number_ids
        }


class OneShard:
    """The shards, all of them on the one that is there."""

    def __init__(self, pools: ShardPools) -> None:
        self._pools = pools

    async def run(
        self,
        calls: Sequence[UnitCall],
        *,
        timeout_s: float,
        answered: Callable[[Sequence[UnitOutcome]], None] | None = None,
    ) -> list[UnitOutcome]:
        outcomes = await self._pools.run([call._replace(shard=SHARD) for call in calls], timeout_s)
        if answered is not None:
            answered(outcomes)
        return outcomes


class Told:
    def __init__(self) -> None:
        self.rows: list[PublishedRow] = []

    async def tell(self, rows: Sequence[PublishedRow]) -> None:
        self.rows += rows


class Graph:
    """Accepts, unless it is told an error; what it took is in ``taken``, answered or not."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.error_after: WhatsAppError | None = None

    async def send(
        self, phone_number_id: str, access_token: str, payload: Mapping[str, Any], *, correlation_id: str = ""
    ) -> SentMessage:
        self.taken.append(payload["biz_opaque_callback_data"])
        if self.error_after is not None:
            raise self.error_after
        return SentMessage(f"wamid.{payload['biz_opaque_callback_data']}")


class Open:
    def unseal(self, sealed: str, context: str) -> str:
        return "token"


class Nobody:
    def batch_done(self, *_: Any, **__: Any) -> None:
        pass


class Always:
    """Statuses have come in since ever."""

    async def since(self) -> float:
        return 0.0


class Way:
    """Everything between Meta's POST and the Graph API, for one tenant."""

    def __init__(
        self, tenant_id: str, pools: ShardPools, connection: RedisConnection, owner: "asyncpg.Connection[Any]"
    ) -> None:
        self.tenant_id, self.owner = tenant_id, owner
        self.told, self.graph, self.now = Told(), Graph(), 1_800_000_000.0
        tenants, shards = EveryNumberIsOurs(tenant_id), OneShard(pools)
        self._processor = InboundProcessor(
            claims=Claims(connection), tenants=tenants, shards=shards, mailbox=self.told, observer=Nobody(),
            clock=lambda: self.now,
        )  # fmt: skip
        self._notifier = NotificationService(
            tenants=tenants, unsealer=Open(), marks=Marks(connection), records=Records(shards), inflow=Always(),
            dispatcher=Dispatcher(self.graph, lambda: 0.5), observer=Nobody(), clock=lambda: self.now,
        )  # fmt: skip

    async def post(self, raw: bytes) -> tuple[list[Message], list[Outcome]]:
        parts = split(raw, correlation_id="c", received_at=self.now)
        unique = {message.id: message for _, message in parts}  # as the mailbox does
        messages = list(unique.values())
        outcomes = await self._processor.consume([delivery(one, "whatsapp.inbound") for one in messages])
        return messages, outcomes

    async def notify(self, *, attempt: int = 1) -> list[Outcome]:
        batch = [delivery(row.message, row.queue, attempt) for row in self.told.rows]
        return await self._notifier.consume(batch)

    async def states(self) -> list[tuple[str, str | None]]:
        rows = await self.owner.fetch(f"SELECT state, wamid FROM tenant_{self.tenant_id}.outgoing_message ORDER BY id")
        return [(row["state"], row["wamid"]) for row in rows]


def delivery(message: Message, queue: str, attempt: int = 1) -> Delivery:
    return Delivery(message, queue, 0, 1, 1, attempt, attempt > 1)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with redis(tmp_path_factory.mktemp("redis")) as started:
        yield started.url


@pytest.fixture
async def way(server: PostgresServer, pools: ShardPools, owner: "asyncpg.Connection[Any]", redis_url: str) -> Any:
    connection = RedisConnection(redis_url, timeouts=PATIENT_REDIS)
    await connection.client.flushall()
    tenant_id = new_id()
    await TenantSchemas(server.dsn).create(tenant_id, SHARD)
    yield Way(tenant_id, pools, connection, owner)
    await connection.aclose()


def envelope(**lists: Any) -> bytes:
    value = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": "100"}, **lists}
    entry = {"id": "waba", "changes": [{"field": "messages", "value": value}]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def text(wamid: str) -> dict[str, Any]:
    return {"id": wamid, "from": "27821110001", "timestamp": "1799999999", "type": "text", "text": {"body": "Hi"}}


def status(state: str, **more: Any) -> dict[str, Any]:
    return {"status": state, "timestamp": "1800000001", "recipient_id": "27821110001", **more}


async def test_a_message_is_answered_once_and_its_statuses_are_followed(way: Way) -> None:
    for _ in range(3):
        await way.post(envelope(messages=[text("wamid.1")]))
    assert [outcome.kind for outcome in await way.notify()] == ["ack"]
    assert [outcome.kind for outcome in await way.notify(attempt=2)] == ["ack"]
    (ours,) = way.graph.taken

    await way.post(
        envelope(statuses=[status("read", id=f"wamid.{ours}"), status("sent", id="x", biz_opaque_callback_data=ours)])
    )

    assert await way.states() == [("read", f"wamid.{ours}")]


async def test_a_wamid_that_comes_to_two_numbers_of_a_merchant_is_two_messages(way: Way) -> None:
    first = envelope(messages=[text("wamid.A")])
    second = first.replace(b'"phone_number_id": "100"', b'"phone_number_id": "200"')

    for raw in (first, second, first, second):
        await way.post(raw)

    rows = await way.owner.fetch("SELECT message_id FROM spaza.inbound_message WHERE tenant_id = $1", way.tenant_id)
    assert sorted(row["message_id"] for row in rows) == ["100:wamid.A", "200:wamid.A"]
    assert len(await way.states()) == 2


async def test_a_send_in_doubt_is_settled_by_its_status_without_a_second_send(way: Way) -> None:
    await way.post(envelope(messages=[text("wamid.1")]))
    way.graph.error_after = DoubtfulSendError("timeout")
    assert [outcome.reason for outcome in await way.notify()] == ["in_doubt"]
    way.graph.error_after = None
    way.now += 5
    assert [outcome.reason for outcome in await way.notify(attempt=2)] == ["in_doubt"]

    (ours,) = way.graph.taken
    await way.post(envelope(statuses=[status("sent", id="wamid.X", biz_opaque_callback_data=ours)]))

    way.now += 60
    assert [outcome.kind for outcome in await way.notify(attempt=3)] == ["ack"]
    assert way.graph.taken == [ours]
    assert await way.states() == [("sent", "wamid.X")]


async def test_a_send_in_doubt_whose_status_does_not_come_is_sent_again_after_its_time(way: Way) -> None:
    await way.post(envelope(messages=[text("wamid.1")]))
    way.graph.error_after = DoubtfulSendError("timeout")
    await way.notify()
    way.graph.error_after = None
    way.now += 31

    assert [outcome.kind for outcome in await way.notify(attempt=2)] == ["ack"]
    assert len(way.graph.taken) == 2
    assert [state for state, _ in await way.states()] == ["accepted"]


async def test_every_real_payload_is_accounted_for_in_the_database_or_as_a_dead_letter(
    way: Way, payloads: Path
) -> None:
    expected: set[str] = set()
    dead: list[str] = []
    for file in sorted((payloads / "whatsapp").glob("*.json")):
        try:
            messages, outcomes = await way.post(file.read_bytes())
        except NotAnEnvelopeError:
            continue  # kept as it is, by the webhook
        for message, outcome in zip(messages, outcomes, strict=True):
            assert outcome.kind in {"ack", "reject"}, (file.name, outcome)
            if outcome.kind == "ack":
                expected.add(message.id)
            else:
                dead.append(f"{file.name}: {outcome.reason}")

    inbound = await way.owner.fetch("SELECT message_id FROM spaza.inbound_message WHERE tenant_id = $1", way.tenant_id)
    statuses = await way.owner.fetch(f"SELECT wamid, state FROM tenant_{way.tenant_id}.message_status")
    platform = await way.owner.fetch("SELECT event_id FROM spaza.platform_event")
    kept = {row["message_id"] for row in inbound} | {row["event_id"] for row in platform}
    told = {f"{row['wamid']}:{row['state']}" for row in statuses}

    def is_kept(identity: str) -> bool:
        within = identity.partition(":")[2]
        return identity in kept or within in told or within.rpartition(":")[0] in told

    assert len(expected) > 80
    assert [identity for identity in expected if not is_kept(identity)] == []
    # Templates of the documentation, with a placeholder in place of the time.
    assert {reason.partition(": ")[2] for reason in dead} == {"malformed:no_timestamp"}
