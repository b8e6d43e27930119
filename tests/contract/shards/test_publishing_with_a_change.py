"""A message that goes with a change is in the shard's journal if and only if the change is there."""

import time

from actors.mailbox.message import Message
from actors.mailbox.transactional import TransactionalPublisher
from actors.shards.unit import Transaction
from config.topology import load_topology
from kernel.identifiers import new_id
from tests.contract.shards.calls import UNITS, add, run, value
from tests.contract.shards.conftest import SHARD, MakePools, MakeTenant

WAITING = "SELECT message_id FROM spaza.journal ORDER BY seq"


async def _sell(transaction: Transaction, arguments: tuple[str, bool]) -> None:
    message_id, fails = arguments
    await add(transaction, message_id)
    message = Message(message_id, "customer", transaction.tenant_id, b"{}", {}, time.time())
    await transaction.publish("notifications", "", [message])
    if fails:
        raise ZeroDivisionError


async def test_both_or_neither(make_pools: MakePools, make_tenant: MakeTenant) -> None:
    pools = make_pools({**UNITS, "sell": _sell}, publisher=TransactionalPublisher(load_topology()))
    tenant, sold, not_sold = await make_tenant(), new_id(), new_id()

    committed = await run(pools, "sell", tenant, (sold, False))
    failed = await run(pools, "sell", tenant, (not_sold, True))

    (row,) = committed.published
    assert (row.partition, row.message.id) == (SHARD, sold)
    assert failed.published == ()
    assert await value(pools, "skus", tenant) == [sold]
    assert await value(pools, "statement", tenant, WAITING) == [(sold,)]


async def test_another_tenant_does_not_see_the_message(make_pools: MakePools, make_tenant: MakeTenant) -> None:
    pools = make_pools({**UNITS, "sell": _sell}, publisher=TransactionalPublisher(load_topology()))
    await run(pools, "sell", await make_tenant(), (new_id(), False))

    assert await value(pools, "statement", await make_tenant(), WAITING) == []
