from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson

from actors.shards.pool import ShardPools
from actors.shards.unit import UnitCall
from services.outgoing.message import decode as decode_outgoing
from services.whatsapp.conversation import Merchant
from services.whatsapp.inbound import Customer, InboundEvent, InboundMessage
from services.whatsapp.store import PLATFORM_EVENTS, RECEIVE, PlatformEventsArguments, ReceiveArguments, ReceiveResult
from tests.contract.whatsapp.conftest import SHARD, Shop

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOW = AT.timestamp() + 1


def message(wamid: str, **more: Any) -> InboundMessage:
    customer = Customer(None, "27821110001")
    made = InboundMessage(wamid, "100", AT, "text", customer, "Sipho", "Hi", b'{"item":1}', "corr-1")
    return made._replace(**more)


def received(*messages: InboundMessage | InboundEvent) -> ReceiveArguments:
    return ReceiveArguments(Merchant("Thandi's Spaza"), messages, NOW)


async def conversations(shop: Shop) -> list[dict[str, Any]]:
    return await shop.rows("SELECT * FROM {schema}.conversation ORDER BY created_at, id")


async def outgoing(shop: Shop) -> list[dict[str, Any]]:
    return await shop.rows("SELECT * FROM {schema}.outgoing_message ORDER BY id")


async def test_a_text_is_recorded_its_conversation_begun_and_its_reply_published_with_it(shop: Shop) -> None:
    outcome = await shop.outcome(RECEIVE, received(message("w1")))

    assert outcome.unwrap() == ReceiveResult(fresh=1, duplicates=0, replies=1)
    (inbound,) = await shop.rows("SELECT * FROM spaza.inbound_message WHERE tenant_id = $1", shop.tenant_id)
    assert (inbound["message_id"], inbound["sent_at"], inbound["kind"], inbound["body"]) == (
        "w1", AT, "text", b'{"item":1}',
    )  # fmt: skip
    (conversation,) = await conversations(shop)
    assert (conversation["phone"], conversation["user_id"], conversation["name"], conversation["stage"]) == (
        "27821110001", None, "Sipho", "greeted",
    )  # fmt: skip
    (sent,) = await outgoing(shop)
    assert (sent["conversation_id"], sent["state"], sent["rank"], sent["wamid"]) == (
        conversation["id"], "queued", 0, None,
    )  # fmt: skip
    (row,) = outcome.published
    assert (row.queue, row.partition, row.message.id, row.message.tenant) == (
        "notifications.whatsapp", SHARD, sent["id"], shop.tenant_id,
    )  # fmt: skip
    assert (row.message.priority, row.message.headers["correlation_id"]) == (5, "corr-1")
    assert row.message.headers["causation_id"] == "w1"
    body = orjson.loads(row.message.body)
    assert (body["to"], body["phone_number_id"]) == ("+27821110001", "100")
    assert orjson.loads(sent["payload"]) == body["payload"]


async def test_what_is_published_is_what_the_notifier_reads(shop: Shop) -> None:
    from actors.mailbox.message import Delivery

    outcome = await shop.outcome(RECEIVE, received(message("w1", customer=Customer("ZA.1", None))))

    read = decode_outgoing(0, Delivery(outcome.published[0].message, "q", SHARD, 1, 1, 1, False))
    assert read.recipient == {"recipient": "ZA.1"}
    assert "welcome to Thandi's Spaza" in read.payload["text"]["body"]


async def test_a_message_has_one_effect_however_often_it_comes(shop: Shop) -> None:
    await shop.run(RECEIVE, received(message("w1")))

    again = await shop.outcome(RECEIVE, received(message("w1"), message("w1"), message("w2")))

    assert again.unwrap() == ReceiveResult(fresh=1, duplicates=2, replies=1)
    assert len(again.published) == 1
    assert len(await outgoing(shop)) == 2


async def test_the_same_message_in_two_batches_at_once_has_one_effect(shop: Shop) -> None:
    batches = [(RECEIVE, received(*(message(f"w{n}") for n in order))) for order in ((1, 2, 3), (3, 2, 1), (2, 1, 3))]

    outcomes = await shop.at_once(*batches)

    # Both may have begun the customer's conversation; whoever lost comes again.
    for (unit, arguments), outcome in zip(batches, outcomes, strict=True):
        if outcome.error is not None:
            await shop.run(unit, arguments)
    assert len(await outgoing(shop)) == 3
    assert len(await conversations(shop)) == 1


async def test_many_messages_of_many_customers_are_one_unit_and_keep_each_customers_order(shop: Shop) -> None:
    messages = [
        message(f"w{n}", customer=Customer(None, f"2782{n % 7:07}"), sent_at=AT + timedelta(seconds=n))
        for n in range(100)
    ]

    outcome = await shop.outcome(RECEIVE, received(*messages))

    assert outcome.unwrap() == ReceiveResult(100, 0, 100)
    rows = await conversations(shop)
    assert len(rows) == 7
    by_id = {row["id"]: row["phone"] for row in rows}
    firsts: dict[str, str] = {}
    for published in outcome.published:
        body = orjson.loads(published.message.body)
        firsts.setdefault(by_id[published.message.key.split(":")[1]], body["payload"]["text"]["body"])
    assert len(firsts) == 7
    assert all("welcome to" in text for text in firsts.values())
    assert max(row["last_inbound_at"] for row in rows) == AT + timedelta(seconds=99)


async def test_a_customer_named_in_different_ways_has_one_conversation(shop: Shop) -> None:
    for n, customer in enumerate(
        [Customer(None, "271"), Customer("ZA.1", "271"), Customer("ZA.1", None), Customer(None, "271")]
    ):
        await shop.run(RECEIVE, received(message(f"w{n}", customer=customer)))

    (only,) = await conversations(shop)
    assert (only["user_id"], only["phone"]) == ("ZA.1", "271")


async def test_two_conversations_that_are_one_customers_are_merged_in_the_database(shop: Shop) -> None:
    await shop.run(
        RECEIVE, received(message("w1", customer=Customer("ZA.1", None)), message("w2", customer=Customer(None, "271")))
    )

    await shop.run(RECEIVE, received(message("w3", customer=Customer("ZA.1", "271"))))

    rows = {row["user_id"]: row for row in await conversations(shop)}
    assert rows["ZA.1"]["phone"] == "271"
    assert (rows[None]["phone"], rows[None]["merged_into"]) == (None, rows["ZA.1"]["id"])


async def test_a_phone_that_changed_hands_begins_anew(shop: Shop) -> None:
    await shop.run(RECEIVE, received(message("w1", customer=Customer("ZA.old", "271"))))
    await shop.run(RECEIVE, received(message("w2", customer=Customer("ZA.new", "271"), name=None)))

    rows = {row["user_id"]: row for row in await conversations(shop)}
    assert (rows["ZA.old"]["phone"], rows["ZA.new"]["phone"]) == (None, "271")
    assert rows["ZA.new"]["name"] is None


async def test_other_types_and_events_are_recorded_without_a_reply(shop: Shop) -> None:
    image = message("w1", type="image", text=None)
    nobody = message("w2", type="poll_vote", text=None, customer=None)
    event = InboundEvent("sha256:1", "100", "waba", "calls", AT, b"{}")

    assert await shop.run(RECEIVE, received(image, nobody, event)) == ReceiveResult(3, 0, 0)

    kinds = await shop.rows("SELECT kind FROM spaza.inbound_message WHERE tenant_id = $1", shop.tenant_id)
    assert sorted(row["kind"] for row in kinds) == ["event:calls", "image", "poll_vote"]
    assert len(await conversations(shop)) == 1
    assert await outgoing(shop) == []


async def test_a_conversation_that_is_written_without_a_reply_is_written(shop: Shop) -> None:
    await shop.run(RECEIVE, received(message("w1")))
    await shop.run(RECEIVE, received(message("w2", type="image", text=None, sent_at=AT + timedelta(seconds=5))))

    (conversation,) = await conversations(shop)
    assert conversation["last_inbound_at"] == AT + timedelta(seconds=5)
    assert len(await outgoing(shop)) == 1


async def test_a_reply_with_any_characters_is_kept(shop: Shop) -> None:
    await shop.run(RECEIVE, received(message("w1", name='Zoë 🌸 "\\ </script>')))

    (sent,) = await outgoing(shop)
    assert 'Zoë 🌸 "\\ </script>' in orjson.loads(sent["payload"])["text"]["body"]


async def test_a_unit_that_fails_leaves_nothing(shop: Shop) -> None:
    outcome = await shop.outcome(RECEIVE, received(message("w1"), message("w2", name="nul\0")))

    assert outcome.error is not None
    assert await conversations(shop) == []
    assert await shop.rows("SELECT 1 FROM spaza.inbound_message WHERE tenant_id = $1", shop.tenant_id) == []


async def test_platform_events_are_kept_once_and_no_tenant_sees_them(
    pools: ShardPools, owner: "asyncpg.Connection[Any]", shop: Shop
) -> None:
    event = InboundEvent(f"sha256:{shop.tenant_id}", "", "waba", "account_update", AT, b'{"a":1}')
    call = UnitCall(PLATFORM_EVENTS, SHARD, "", PlatformEventsArguments([event, event], NOW))

    for _ in range(2):
        (await pools.run([call], 60.0))[0].unwrap()

    rows = await owner.fetch("SELECT * FROM spaza.platform_event WHERE event_id = $1", event.id)
    assert [(row["waba_id"], row["field"], row["body"]) for row in rows] == [("waba", "account_update", b'{"a":1}')]
    (as_tenant,) = await pools.run([call._replace(tenant_id=shop.tenant_id)], 60.0)
    assert as_tenant.error is not None


async def test_a_batch_takes_two_statements_replies_included(shop: Shop) -> None:
    from services.whatsapp.store import receive

    class Counting:
        tenant_id, schema, shard = shop.tenant_id, "s", SHARD

        def __init__(self) -> None:
            self.statements = 0

        async def fetch(self, query: str, *arguments: Any) -> list[Any]:
            self.statements += 1
            return [{"fresh": True, "id": one, "at": at} for one, at in zip(arguments[0], arguments[1], strict=True)]

        async def fetchrow(self, query: str, *arguments: Any) -> Any:
            raise NotImplementedError

        async def execute(self, query: str, *arguments: Any) -> None:
            raise NotImplementedError

        async def publish(self, exchange: str, routing_key: str, messages: Any) -> None:
            raise NotImplementedError

        async def execute_and_publish(self, query: str, *arguments: Any, messages: Any, **_where: str) -> None:
            assert len(messages) == 50
            self.statements += 1

    transaction = Counting()

    await receive(transaction, received(*(message(f"w{n}", customer=Customer(None, str(n))) for n in range(50))))

    assert transaction.statements == 2
