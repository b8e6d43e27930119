"""What a message caused, told from real rows."""

import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from actors.mailbox.connections import Connections
from actors.mailbox.journal import Append, Batch, Progress
from actors.mailbox.message import Message
from actors.mailbox.postgres_journal import Patience, PostgresJournal
from actors.mailbox.transactional import TransactionalPublisher
from actors.shards.access import ShardAccess
from actors.shards.dsn import shard_dsn
from actors.shards.pool import ShardPools
from actors.shards.unit import UnitCall, UnitOutcome, registry
from cluster.postgres import PostgresServer
from config.topology import DECLARED
from config.topology_file import load_topology
from services.ops.schemas import TraceQuery
from services.ops.store import UNITS
from services.ops.tracing import Tracer
from tests.contract.whatsapp.conftest import KEY, SHARD
from tests.contract.whatsapp.test_the_whole_way import OneShard, Way, envelope, redis_url, text, way

__all__ = ["redis_url", "way"]


# A busy machine may take its time.
PATIENT_S = 60.0
PATIENCE = Patience(write_s=PATIENT_S, take_over_s=PATIENT_S, tick_s=PATIENT_S, load_s=PATIENT_S)


class PatientShard(OneShard):
    """Gives all units the time that a busy machine needs."""

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float, **more: Any) -> list[UnitOutcome]:
        return await super().run(calls, timeout_s=max(timeout_s, PATIENT_S), **more)


@pytest.fixture
async def tracer(server: PostgresServer) -> AsyncIterator[Tracer]:
    topology = load_topology(DECLARED)
    access = ShardAccess.derive(server.dsn, KEY)
    pools = ShardPools(access, [SHARD], registry(UNITS), TransactionalPublisher(topology))
    yield Tracer(PatientShard(pools), topology)
    await pools.aclose()


async def journalled(server: PostgresServer, messages: Sequence[Message]) -> None:
    """Have the inbound queue's journal hold them, as its mailbox would."""
    connections = Connections(shard_dsn(server.dsn, SHARD), 1)
    journal = PostgresJournal(connections, "whatsapp.inbound", "dlq.whatsapp.inbound", 0, PATIENCE)
    lease = await journal.take_over("test/1", 30.0, -1)
    assert lease is not None
    first = await journal.highest() + 1
    await journal.write(lease.epoch, Batch([Append(one, first + at, 0.0) for at, one in enumerate(messages)]))
    await journal.release(lease.epoch, Progress(0, lease.swept_to, 0.0, lease.era))
    await journal.aclose()


async def test_a_message_caused_its_own_reply_and_none_of_those_to_its_neighbours(
    server: PostgresServer, way: Way, tracer: Tracer
) -> None:
    way.now = time.time()
    theirs = {**text("wamid.THEIRS"), "from": "27821110002"}
    messages, _ = await way.post(envelope(messages=[text("wamid.OURS"), theirs]))
    await journalled(server, messages)
    assert len(way.told.rows) == 2

    trace = await tracer.trace(TraceQuery(wamid="wamid.OURS", phone_number_id="100"))

    [reply] = [row.message for row in way.told.rows if row.message.headers["causation_id"] == "100:wamid.OURS"]
    assert [one["message_id"] for one in trace["messages"]] == ["100:wamid.OURS"]
    assert [one["message_id"] for one in trace["caused"]] == [reply.id]
