"""Operators at work on real actors and a real journal."""

import asyncio
import os
import signal
import time

import pytest
import ray

from actors.mailbox.access import JournalAccess
from actors.mailbox.consumer import ActorConsumer
from actors.mailbox.errors import UnknownQueueError
from actors.mailbox.operations import Place
from actors.mailbox.operator_handle import MailboxOperator
from actors.mailbox.selection import Selection
from actors.mailbox.start import start_mailboxes
from cluster.postgres import PostgresServer
from tests.cluster.test_mailbox import (
    Mailbox,
    MakeMailbox,
    dead_letters,
    eventually,
    mailbox,
    message,
    publish_surely,
    server,
    settled,
)

__all__ = ["mailbox", "server"]
ALL = Selection()


async def with_dead_letters(box: Mailbox, *ids: str) -> None:
    sent = [message(one, one, b"reject") for one in ids]
    await publish_surely(box, sent)
    await eventually(lambda: dead_letters(box, len(ids)))


async def test_dead_letters_are_counted_seen_and_put_back_in_their_order(mailbox: MakeMailbox) -> None:
    box = await mailbox()
    ids = [f"m{number}" for number in range(30)]
    await with_dead_letters(box, *ids)
    operator = MailboxOperator(box.topology)
    dead = operator.target(f"dlq.{box.name}")

    count = await operator.count(dead, ALL)
    first = await operator.look(dead, ALL, after=Place(), limit=20, body_bytes=3)
    number, last = first[-1]
    rest = await operator.look(dead, ALL, after=Place(number, last.seq), limit=20, body_bytes=0)
    done = await operator.change(dead, "redrive", ALL, limit=1_000, per_s=None, timeout_s=120.0)

    assert [(one.cause, one.detail, one.messages) for one in count.tallies] == [("rejected", "as it asks", 30)]
    assert [one.message.id for _, one in (*first, *rest)] == ids
    assert first[0][1].message.body == b"rej"
    # What dies anew under this consumer is met again, for nothing was said of when the redrive began.
    assert done.messages >= 30
    assert done.complete
    await eventually(lambda: settled(box))
    assert [line.id for line in box.lines()][:60] == [*ids, *ids]


async def test_a_redrive_keeps_to_its_rate_and_says_that_there_is_more(mailbox: MakeMailbox) -> None:
    box = await mailbox()
    await with_dead_letters(box, *(f"m{number}" for number in range(40)))
    await box.pause(paused=True)
    operator = MailboxOperator(box.topology)

    began = time.monotonic()
    done = await operator.change(operator.target(box.name, "dead"), "redrive", ALL, limit=100, per_s=5, timeout_s=3.0)
    took_s = time.monotonic() - began

    assert done.trouble == ""
    # One batch is a second's.
    assert 0 < done.messages <= 5 * (took_s + 1.0)
    assert not done.complete
    assert (await box.figures())["waiting"] == done.messages


async def test_a_pause_outlives_the_process_of_the_owner(mailbox: MakeMailbox) -> None:
    box = await mailbox()
    pid = (await box.figures())["pid"]
    await box.pause(paused=True)
    os.kill(pid, signal.SIGKILL)

    async def back() -> bool:
        figures = await box.figures()
        return bool(figures.get("pid", pid) != pid and figures["state"] == "owning")

    await eventually(back)
    await publish_surely(box, [message("m1")])
    await asyncio.sleep(0.5)

    assert (await box.figures())["paused"] is True
    assert box.lines() == []
    await box.pause(paused=False)
    await eventually(lambda: len(box.lines()) == 1)


async def test_what_waits_is_purged_and_what_comes_after_it_is_delivered(mailbox: MakeMailbox) -> None:
    box = await mailbox(window=10)
    operator = MailboxOperator(box.topology)
    await box.pause(paused=True)
    await publish_surely(box, [message(f"m{number}") for number in range(50)])

    before = await operator.count(operator.target(box.name), ALL)
    done = await operator.change(operator.target(box.name), "purge", ALL, limit=1_000, per_s=None, timeout_s=120.0)
    await publish_surely(box, [message("after")])
    await box.pause(paused=False)

    assert [one.messages for one in before.tallies] == [50]
    assert (done.messages, done.complete) == (50, True)
    await eventually(lambda: [line.id for line in box.lines()] == ["after"])

    async def nothing_waits() -> bool:
        # A settlement lingers for company before it is written.
        return not (await operator.count(operator.target(box.name), ALL)).tallies

    await eventually(nothing_waits)


async def test_all_partitions_of_a_queue_by_shard_are_operated_at_once(mailbox: MakeMailbox) -> None:
    box = await mailbox(by="shard")
    operator = MailboxOperator(box.topology)

    async def owned() -> bool:
        figures = await box.figures()
        # Three of the test's 32 databases have tables.
        return [one["state"] for one in figures["partitions"].values()].count("owning") == 3

    await eventually(owned)
    count = await operator.count(operator.target(box.name), ALL)

    assert (list(count.tallies), len(count.missing)) == ([], 29)


async def test_after_the_owner_has_stopped_its_lease_is_free_and_nothing_is_delivered_again(
    mailbox: MakeMailbox,
) -> None:
    box = await mailbox(settle_linger_ms=1000)
    await publish_surely(box, [message(f"m{number}") for number in range(20)])
    await eventually(lambda: len(box.lines()) == 20)

    await box.handle.stop()
    ray.kill(box.actor(), no_restart=False)

    async def back() -> bool:
        return bool((await box.figures()).get("state") == "owning")

    await eventually(back)
    await publish_surely(box, [message("last")])
    await eventually(lambda: "last" in box.handled())
    assert max(box.handled().values()) == 1


async def test_an_unknown_queue_is_refused_with_the_names_of_the_queues(mailbox: MakeMailbox) -> None:
    box = await mailbox()

    with pytest.raises(UnknownQueueError, match=box.name):
        MailboxOperator(box.topology).target("nonsense")


async def test_a_redeploy_keeps_actors_that_are_alike_and_hands_over_what_has_changed(
    mailbox: MakeMailbox, server: PostgresServer
) -> None:
    box = await mailbox(settle_linger_ms=1000)
    await publish_surely(box, [message(f"m{number}") for number in range(20)])
    await eventually(lambda: len(box.lines()) == 20)
    pid = (await box.figures())["pid"]
    access, consumers = (
        JournalAccess(server.tcp_dsn, "secret", "test"),
        {box.name: ActorConsumer(f"consumer:{box.name}")},
    )

    await asyncio.to_thread(start_mailboxes, box.topology, access, consumers, timeout_s=180)
    alike = (await box.figures())["pid"]
    changed = box.topology.queues[box.name].model_copy(update={"batch": 7})
    topology = box.topology.model_copy(update={"queues": {**box.topology.queues, box.name: changed}})
    await asyncio.to_thread(start_mailboxes, topology, access, consumers, timeout_s=180)

    async def back() -> bool:
        return bool((await box.figures()).get("state") == "owning")

    await eventually(back)
    await publish_surely(box, [message("last")])
    await eventually(lambda: "last" in box.handled())
    assert alike == pid
    assert (await box.figures())["pid"] != pid
    assert max(box.handled().values()) == 1
