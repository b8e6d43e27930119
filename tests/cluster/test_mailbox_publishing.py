"""Publishing to real actors: owners that are gone, floods, full queues, and the HTTP edge before them."""

import asyncio
import json
import os
import pickle
import time
from collections import Counter
from typing import Any

import asyncpg
import psutil
import pytest
import ray
from ray.exceptions import PendingCallsLimitExceeded

from actors.doors.doors import Door
from actors.mailbox.errors import (
    JournalUnavailableError,
    OverloadedError,
    PublishFailedError,
    QueueFullError,
    UnroutableError,
)
from actors.mailbox.exchange import shard_of_partition
from actors.mailbox.handle import MailboxHandle, actor_name
from actors.mailbox.last_resort import UNITS, ShardLastResort
from actors.mailbox.message import Message
from actors.mailbox.publisher import packed
from actors.shards.dsn import shard_dsn
from actors.shards.unit import UnitCall, UnitOutcome
from cluster.postgres import PostgresServer
from integrations.whatsapp.signature import HEADER, sign
from tests.cluster.test_mailbox import (  # noqa: F401
    TENANT,
    Mailbox,
    MakeMailbox,
    dead_letters,
    eventually,
    mailbox,
    message,
    publish_surely,
    server,
)
from tests.unit.gateway.bench import Answered
from tests.unit.services.whatsapp.test_webhook import SECRET, FakeMailbox, call


class DirectShards:
    """Runs the units of the last resort on a connection of its own."""

    def __init__(self, server: PostgresServer) -> None:  # noqa: F811
        self._server = server

    async def run(self, calls: Any, *, timeout_s: float) -> list[UnitOutcome]:
        outcomes = []
        for one in calls:
            assert isinstance(one, UnitCall)
            connection = await asyncpg.connect(shard_dsn(self._server.tcp_dsn, one.shard, "spaza_system", "secret"))
            async with connection.transaction():
                unit: Any = UNITS[one.name]
                await unit(connection, one.arguments)
            await connection.close()
            outcomes.append(UnitOutcome(None, (), None))
        return outcomes


def of(tenant: str, number: int) -> Message:
    return Message(f"{tenant}-{number}", f"{tenant}{number}", tenant, b"x" * 1_000, {}, time.time())


async def test_what_an_owner_that_is_gone_did_not_take_stands_in_the_dead_letter_queue(
    mailbox: MakeMailbox,  # noqa: F811
    server: PostgresServer,  # noqa: F811
) -> None:
    box = await mailbox()
    handle = MailboxHandle(box.topology, last_resort=ShardLastResort(DirectShards(server)))
    await handle.publish("in", "a.b", [message("before")], timeout_s=120.0)
    owner = psutil.Process((await box.figures())["pid"])
    ray.kill(box.actor(), no_restart=True)
    await asyncio.to_thread(owner.wait, 120.0)
    started = time.monotonic()
    traced = message("m1")._replace(headers={"traceparent": "00-ab-cd-01"})

    with pytest.raises(PublishFailedError) as failed:
        await handle.publish("in", "a.b", [traced], timeout_s=200.0)

    assert failed.value.dead_lettered
    # Three tries and the last resort, and not for as long as there would be time.
    assert time.monotonic() - started < 100.0
    connection = await asyncpg.connect(shard_dsn(server.tcp_dsn, shard_of_partition(0)))
    row = await connection.fetchrow(
        "SELECT message_id, convert_from(headers, 'UTF8') AS headers FROM spaza.journal WHERE queue = $1",
        f"dlq.{box.name}",
    )
    assert row is not None
    assert row["message_id"] == "m1"
    assert '"x-retry-count":3' in row["headers"]
    assert '"traceparent":"00-ab-cd-01"' in row["headers"]
    await connection.close()
    with pytest.raises(PublishFailedError) as lost:
        await MailboxHandle(box.topology).publish("in", "a.b", [message("m2")], timeout_s=1.0)
    assert not lost.value.dead_lettered


async def test_an_owner_that_is_killed_and_started_again_leaves_no_dead_letters(
    mailbox: MakeMailbox,  # noqa: F811
    server: PostgresServer,  # noqa: F811
) -> None:
    box = await mailbox()
    handle = MailboxHandle(box.topology, last_resort=ShardLastResort(DirectShards(server)))
    refused: Counter[str] = Counter()
    kills = 3

    async def publisher(number: int) -> None:
        for step in range(kills * 10):
            one = of(f"t{number}", step)
            while True:
                try:
                    await handle.publish("in", "a.b", [one], timeout_s=1.5)
                    break
                except JournalUnavailableError:  # as Meta, which delivers again
                    refused["later"] += 1
            await asyncio.sleep(0.1)

    publishers = asyncio.gather(*(publisher(number) for number in range(4)))
    killed: set[int] = set()

    async def killed_another() -> bool:
        pid = (await box.figures()).get("pid", 0)
        if pid and pid not in killed:
            killed.add(pid)
            os.kill(pid, 9)
            return True
        return False

    for kill in range(kills):
        await eventually(killed_another)
        # With less patience than it takes to be started again; the others may have enough of it.
        try:
            await handle.publish("in", "a.b", [of("impatient", kill)], timeout_s=0.1)
        except JournalUnavailableError:
            refused["later"] += 1
        await asyncio.sleep(0.5)
    await publishers

    assert refused["later"] > 0, "none was published while its owner was away"
    await eventually(lambda: dead_letters(box, 0))
    await eventually(lambda: len([one for one in box.handled() if one.startswith("t")]) == 4 * kills * 10)


async def test_a_queue_is_full_to_the_message_under_256_publishers_and_after_a_kill(
    mailbox: MakeMailbox,  # noqa: F811
) -> None:
    box = await mailbox(max_length=300, tenant_share=0.4, window=50)
    await box.pause(paused=True)
    numbers = iter(range(10_000))
    accepted: Counter[str] = Counter()
    refused: list[QueueFullError] = []

    async def publisher(tenant: str) -> None:
        for _ in range(4):
            try:
                await box.handle.publish("in", "a.b", [of(tenant, next(numbers))], timeout_s=120.0)
            except QueueFullError as error:
                refused.append(error)
            else:
                accepted[tenant] += 1

    await asyncio.gather(*(publisher("abcd"[number % 4]) for number in range(256)))

    assert accepted.total() == 300
    assert max(accepted.values()) <= 120
    assert (await box.figures())["waiting"] == 300
    assert {one.queue for one in refused} == {box.name}
    assert all(one.retry_after_s > 0 for one in refused)

    pid = (await box.figures())["pid"]
    os.kill(pid, 9)

    async def full_again() -> bool:
        try:
            await box.handle.publish("in", "a.b", [of("new", next(numbers))], timeout_s=5.0)
        except QueueFullError:
            return True
        except (PublishFailedError, JournalUnavailableError):
            return False
        raise AssertionError("it was let in")

    await eventually(full_again)


async def test_a_flood_is_refused_and_the_actor_does_not_grow(mailbox: MakeMailbox) -> None:  # noqa: F811
    box = await mailbox(max_length=1_000)
    await box.pause(paused=True)
    process = psutil.Process((await box.figures())["pid"])
    before = process.memory_info().rss

    flood = [box.handle.publish("in", "a.b", [of("", number)], timeout_s=120.0) for number in range(15_000)]
    results = await asyncio.gather(*flood, return_exceptions=True)

    kinds = Counter(type(result).__name__ for result in results)
    assert kinds["NoneType"] == 1_000
    assert kinds["OverloadedError"] > 0
    assert set(kinds) <= {"NoneType", "OverloadedError", "QueueFullError"}
    assert all(result.retry_after_s > 0 for result in results if isinstance(result, OverloadedError))
    # Whoever calls the actor without our handle is bounded by Ray.
    batch = pickle.dumps([(0, [packed(of("", number)) for number in range(500)], [500])])
    calls: list[Any] = []

    def without_end() -> None:
        actor = box.actor()
        calls.extend(actor.append.remote(batch) for _ in range(200))

    # It answers nothing meanwhile, so that calls pile up however fast they come.
    process.suspend()
    try:
        with pytest.raises(PendingCallsLimitExceeded):
            without_end()
    finally:
        process.resume()
    await asyncio.gather(*calls)
    assert process.memory_info().rss - before < 150_000_000


async def test_a_full_queue_is_503_with_retry_after_at_the_edge(mailbox: MakeMailbox) -> None:  # noqa: F811
    box = await mailbox(max_length=4, tenant_share=0.25)
    await box.pause(paused=True)

    class ToThisQueue(FakeMailbox):
        async def publish(self, exchange: str, routing_key: str, messages: Any, *, timeout_s: float) -> None:
            await box.handle.publish("in", "a.b", messages, timeout_s=timeout_s)

    async def post(number: int, *receivers: str) -> Answered:
        item = {"id": f"wamid.{number}", "from": "27", "type": "text", "timestamp": "1750000000"}
        values = [{"metadata": {"phone_number_id": one}, "messages": [item]} for one in receivers]
        entry = {"id": "200", "changes": [{"field": "messages", "value": value} for value in values]}
        body = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
        answer = await call(ToThisQueue(), body=body, headers={HEADER.lower(): sign(SECRET, body)})
        assert answer is not None
        return answer

    # Which it may not be in Meta's time, where the machine is busy.
    while (taken := await post(1, "100")).status == 503:  # noqa: ASYNC110 - as Meta does
        await asyncio.sleep(0.1)
    refused = await post(2, "100", "101")
    while (await box.figures())["waiting"] < 2:  # the other merchant's is kept
        refused = await post(2, "100", "101")

    assert (taken.status, refused.status) == (200, 503)
    assert refused.headers["retry-after"] == "2"
    assert (await box.figures())["waiting"] == 2


async def test_what_no_queue_takes_is_an_error(mailbox: MakeMailbox) -> None:  # noqa: F811
    box = await mailbox()

    with pytest.raises(UnroutableError):
        await box.handle.publish("in", "b.b", [message("m1")], timeout_s=5.0)


async def test_publishers_on_the_owners_machine_go_by_its_door_and_leave_it_when_it_is_not_the_owner_any_more(
    mailbox: MakeMailbox,  # noqa: F811
    server: PostgresServer,  # noqa: F811
) -> None:
    box = await mailbox()
    sent = (message(f"m{number}") for number in range(1_000))
    doors: list[Door] = []

    async def goes_by_another_door() -> bool:
        await publish_surely(box, [next(sent)])
        door = box.handle._doors.of(actor_name(box.name, 0))
        if door is None or door in doors:
            return False
        doors.append(door)
        return True

    await eventually(goes_by_another_door)
    connection = await asyncpg.connect(shard_dsn(server.tcp_dsn, shard_of_partition(0)))
    await connection.execute("UPDATE spaza.mailbox_owner SET epoch = epoch + 1 WHERE queue = $1", box.name)
    await connection.close()

    await eventually(goes_by_another_door)
    os.kill((await box.figures())["pid"], 9)

    await eventually(goes_by_another_door)
    assert [door.is_open for door in doors] == [False, False, True]
    published = 1_000 - len(list(sent))
    await eventually(lambda: len(box.handled()) == published)
