"""Delivery on real Ray and real PostgreSQL: fair among tenants, leased, retried, expired in time."""

import os
import signal
import time
from typing import Any

import asyncpg
import orjson

from actors.mailbox.message import Message
from actors.shards.dsn import shard_dsn
from cluster.postgres import PostgresServer
from tests.cluster.test_mailbox import (  # noqa: F401 - fixtures
    Mailbox,
    MakeMailbox,
    dead_letters,
    eventually,
    mailbox,
    message,
    publish_surely,
    server,
    settled,
)  # fmt: skip

OTHER = "fedcba9876543210fedcba9876543210"


async def counters(box: Mailbox) -> Any:
    return (await box.figures())["counters"]


async def test_a_tenants_flood_of_10000_delays_anothers_single_message_by_less_than_a_second(
    mailbox: MakeMailbox,  # noqa: F811
) -> None:
    # It does 1,024 at once in half a second, and so no more than 2,048 in one.
    box = await mailbox(pause_s=0.5)
    flood = [message(f"a{number}", f"k{number}") for number in range(10_000)]
    await box.pause(paused=True)
    for start in range(0, len(flood), 2_000):
        await publish_surely(box, flood[start : start + 2_000])
    await box.pause(paused=False)
    await eventually(lambda: len(box.lines()) > 500)

    await publish_surely(box, [Message("single", "b", OTHER, b"x", {}, time.time())])
    handled = len(box.lines())
    await eventually(lambda: box.handled()["single"] == 1)

    before = [line.id for line in box.lines()].index("single")
    assert handled < 9_500, "the flood was over before"
    # By what the consumer did meanwhile, for the clock also counts what else the machine does.
    assert before - handled <= 2_048


async def test_what_outlasts_its_lease_is_delivered_again_and_the_late_answer_is_refused(
    mailbox: MakeMailbox,  # noqa: F811
) -> None:
    box = await mailbox(lease_s=3.0, batch=1)
    await publish_surely(box, [message("m1", body=b"slow 4.5")])

    await eventually(lambda: len(box.lines()) >= 2)
    await eventually(lambda: settled(box))

    async def came_late() -> bool:
        # It is written down before the answer is on its way.
        return bool((await counters(box)).get("late", 0) >= 1)

    await eventually(came_late)
    assert sorted(line.redelivered for line in box.lines()) == [False, True]


async def test_a_slow_consumer_that_beats_keeps_its_messages(mailbox: MakeMailbox) -> None:  # noqa: F811
    box = await mailbox(lease_s=5.0, batch=1, batches_in_flight=2)
    await box.consumer.beat_with.remote(box.topology)
    await publish_surely(box, [message(f"m{number}", f"k{number}", body=b"slow 7") for number in range(2)])

    await eventually(lambda: len(box.handled()) == 2)
    await eventually(lambda: settled(box))

    assert set(box.handled().values()) == {1}
    assert not {"lost", "late"} & (await counters(box)).keys()


async def test_a_rejected_message_has_its_tries_and_dies_with_its_story(
    mailbox: MakeMailbox,  # noqa: F811
    server: PostgresServer,  # noqa: F811
) -> None:
    box = await mailbox(max_retries=1)
    await publish_surely(box, [message("m1", "a", b"reject"), message("m2", "b", b"raise"), message("m3", "c")])

    await eventually(lambda: dead_letters(box, 2))
    await eventually(lambda: "m3" in box.handled())

    assert [line.id for line in box.lines() if line.id != "m3"] == ["m1", "m1"]
    assert box.handled() == {"m3": 1}
    connection = await asyncpg.connect(shard_dsn(server.tcp_dsn, 0))
    headers = await connection.fetchval(
        "SELECT headers FROM spaza.journal WHERE queue = $1 AND message_id = 'm2'", f"dlq.{box.name}"
    )
    await connection.close()
    [death] = orjson.loads(headers)["x-death"]
    told = ("queue", "reason", "count", "exchange", "routing-keys")
    assert [death[name] for name in told] == [box.name, "rejected", 1, "in", ["a.b"]]


async def test_what_is_not_in_memory_expires_in_time_as_well(mailbox: MakeMailbox) -> None:  # noqa: F811
    box = await mailbox(window=2, batch=1, batches_in_flight=1, lease_s=60.0)
    blocker = message("blocker", "k", b"slow 600")
    await publish_surely(box, [blocker, message("next", "k"), message("third", "k")])
    await publish_surely(box, [message(f"m{number}", "k", ttl_ms=1_000) for number in range(50)])
    await eventually(lambda: dead_letters(box, 50))

    # All while the first was being handled, which ends now.
    assert box.handled() == {}
    os.kill(await box.consumer.pid.remote(), signal.SIGKILL)
    await eventually(lambda: len(box.handled()) == 3)
    assert set(box.handled()) == {"blocker", "next", "third"}
    assert (await counters(box))["expired"] == 50
