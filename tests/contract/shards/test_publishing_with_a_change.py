"""A message that goes with a change is in the shard's journal if and only if the change is there."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from actors.mailbox.errors import InvalidMessageError, UnroutableError
from actors.mailbox.message import Message
from actors.mailbox.transactional import TransactionalPublisher
from actors.shards.errors import UnitFailedError
from actors.shards.unit import Transaction
from config.topology import Topology, TopologyError
from config.topology_file import load_topology
from kernel.identifiers import new_id
from tests.contract.shards.calls import PRODUCT, UNITS, add, run, value
from tests.contract.shards.conftest import SHARD, MakePools, MakeTenant

WAITING = "SELECT message_id FROM spaza.journal ORDER BY seq"
WAITING_BY_QUEUE = "SELECT queue, message_id FROM spaza.journal ORDER BY seq"
STATEMENT = f"WITH sold AS ({PRODUCT})\n{{publish}}"
TWO_QUEUES = Topology.model_validate(
    {
        "exchanges": {"notifications": {"type": "fanout"}},
        "queues": {
            name: {"bindings": [{"exchange": "notifications"}], "partition_by": "shard", "partitions": 32}
            for name in ("first", "second")
        },
    }
)


class Sale(NamedTuple):
    """Products that are added, one a message, and how the unit goes on."""

    skus: Sequence[str]
    fails: bool = False
    exchange: str = "notifications"
    routing_key: str = ""
    tenant: str | None = None


def _messages(transaction: Transaction, sale: Sale) -> list[Message]:
    tenant = transaction.tenant_id if sale.tenant is None else sale.tenant
    return [Message(sku, "customer", tenant, b"{}", {}, time.time()) for sku in sale.skus]


async def _sell(transaction: Transaction, sale: Sale) -> None:
    for sku in sale.skus:
        await add(transaction, sku)
    await transaction.publish(sale.exchange, sale.routing_key, _messages(transaction, sale))
    if sale.fails:
        raise ZeroDivisionError


async def _sell_in_one_statement(transaction: Transaction, sale: Sale) -> None:
    await transaction.execute_and_publish(
        STATEMENT,
        sale.skus[0],
        exchange=sale.exchange,
        routing_key=sale.routing_key,
        messages=_messages(transaction, sale),
    )
    if sale.fails:
        raise ZeroDivisionError


async def _only_change(transaction: Transaction, sku: str) -> None:
    await transaction.execute_and_publish(STATEMENT, sku, exchange="notifications", routing_key="", messages=[])


SELLING: dict[str, Any] = {
    **UNITS, "sell": _sell, "sell_in_one_statement": _sell_in_one_statement, "only_change": _only_change,
}  # fmt: skip
both_ways = pytest.mark.parametrize("unit", ["sell", "sell_in_one_statement"])


@both_ways
async def test_both_or_neither(make_pools: MakePools, make_tenant: MakeTenant, unit: str) -> None:
    pools = make_pools(SELLING, publisher=TransactionalPublisher(load_topology()))
    tenant, sold, not_sold = await make_tenant(), new_id(), new_id()

    committed = await run(pools, unit, tenant, Sale([sold]))
    failed = await run(pools, unit, tenant, Sale([not_sold], fails=True))

    (row,) = committed.published
    assert (row.partition, row.message.id) == (SHARD, sold)
    assert failed.published == ()
    assert await value(pools, "skus", tenant) == [sold]
    assert await value(pools, "statement", tenant, WAITING) == [(sold,)]


@both_ways
async def test_another_tenant_does_not_see_the_message(
    make_pools: MakePools, make_tenant: MakeTenant, unit: str
) -> None:
    pools = make_pools(SELLING, publisher=TransactionalPublisher(load_topology()))
    await run(pools, unit, await make_tenant(), Sale([new_id()]))

    assert await value(pools, "statement", await make_tenant(), WAITING) == []


@both_ways
async def test_a_message_goes_to_every_queue_that_is_bound_and_in_order(
    make_pools: MakePools, make_tenant: MakeTenant, unit: str
) -> None:
    pools, tenant = make_pools(SELLING, publisher=TransactionalPublisher(TWO_QUEUES)), await make_tenant()
    skus = [new_id() for _ in range(3)]

    outcome = await run(pools, unit, tenant, Sale(skus))

    expected = [(queue, sku) for queue in ("first", "second") for sku in skus]
    assert [(row.queue, row.message.id) for row in outcome.published] == expected
    assert await value(pools, "statement", tenant, WAITING_BY_QUEUE) == expected
    seqs = await value(pools, "statement", tenant, "SELECT seq FROM spaza.journal ORDER BY seq")
    assert [(row.seq,) for row in outcome.published] == seqs


@both_ways
async def test_what_is_in_the_journal_already_is_not_published_again(
    make_pools: MakePools, make_tenant: MakeTenant, unit: str
) -> None:
    pools, tenant = make_pools(SELLING, publisher=TransactionalPublisher(load_topology())), await make_tenant()
    sku, other = new_id(), new_id()
    await run(pools, unit, tenant, Sale([sku]))
    await value(pools, "script", tenant, "DELETE FROM {schema}.product")

    outcome = await run(pools, unit, tenant, Sale([other, sku]))

    assert [row.message.id for row in outcome.published] == [other]


@both_ways
async def test_what_cannot_be_routed_or_is_anothers_leaves_nothing(
    make_pools: MakePools, make_tenant: MakeTenant, unit: str
) -> None:
    pools, tenant = make_pools(SELLING, publisher=TransactionalPublisher(load_topology())), await make_tenant()

    astray = await run(pools, unit, tenant, Sale(["a"], exchange="nowhere"))
    misplaced = await run(pools, unit, tenant, Sale(["b"], exchange="whatsapp.messages", routing_key="inbound.message"))
    anothers = await run(pools, unit, tenant, Sale(["c"], tenant="f" * 32))

    assert isinstance(astray.error, UnroutableError)
    assert isinstance(misplaced.error, TopologyError)
    assert isinstance(anothers.error, UnitFailedError)
    assert await value(pools, "skus", tenant) == []


async def test_a_change_that_has_nothing_to_publish_is_made_all_the_same(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools, tenant = make_pools(SELLING, publisher=TransactionalPublisher(load_topology())), await make_tenant()

    outcome = await run(pools, "only_change", tenant, "bread")

    assert (outcome.error, outcome.published) == (None, ())
    assert await value(pools, "skus", tenant) == ["bread"]


async def _sell_with(transaction: Transaction, given: tuple[str, Mapping[str, Any]]) -> None:
    sku, fields = given
    await add(transaction, sku)
    message = Message(sku, "customer", transaction.tenant_id, b"{}", {}, time.time())
    await transaction.publish("notifications", "", [message._replace(**fields)])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"body": "{}"}, "body is bytes, not str; encode it"),
        ({"key": None}, "key is text, not None"),
        ({"tenant": 7}, "tenant is text, not int"),
        ({"headers": {"total": float("nan")}}, "headers: 'total' has float in it"),
        ({"published_at": float("nan")}, "published_at is in Unix seconds"),
    ],
)
async def test_a_message_that_no_row_can_hold_is_refused_with_its_change(
    make_pools: MakePools, make_tenant: MakeTenant, fields: Mapping[str, Any], says: str
) -> None:
    pools = make_pools({**UNITS, "sell_with": _sell_with}, publisher=TransactionalPublisher(load_topology()))
    tenant = await make_tenant()

    refused = await run(pools, "sell_with", tenant, ("bread", fields))

    assert isinstance(refused.error, InvalidMessageError)
    assert says in str(refused.error)
    assert await value(pools, "skus", tenant) == []
