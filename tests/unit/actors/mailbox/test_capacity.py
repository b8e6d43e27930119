"""What may wait: exact, whatever comes between."""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from actors.mailbox.capacity import Capacity
from actors.mailbox.errors import JournalUnavailableError, MailboxError, OwnerNotReadyError, QueueFullError
from actors.mailbox.journal import Count, Counted, Counting
from actors.mailbox.memory_journal import InMemoryJournal, MemoryDatabase
from actors.mailbox.message import Message, ack, reject
from config.topology import Queue
from tests.unit.actors.mailbox.test_partition import FAST, Owner, message, owning, running, until

ROOMY = FAST._replace(writer=FAST.writer._replace(waiting_messages=1_000))


def queue(**fields: Any) -> Queue:
    return Queue.model_validate({"name": "q", "bindings": [{"exchange": "x"}], **fields})


def of(tenant: str, times: int = 1) -> list[Message]:
    return [Message(f"{tenant}{number}", "k", tenant, b"", {}, 0.0) for number in range(times)]


def counted(capacity: Capacity, number: int, **tenants: int) -> None:
    capacity.begin_count(number)
    capacity.counted(number, tenants)


def test_a_queue_is_full_at_its_limit_and_a_tenant_at_its_share() -> None:
    capacity = Capacity(queue(max_length=10, tenant_share=0.5), [0])
    counted(capacity, 0, a=4)

    capacity.admit(0, of("a"))
    with pytest.raises(QueueFullError) as share:
        capacity.admit(0, of("a"))
    capacity.admit(0, of("b", 5))
    with pytest.raises(QueueFullError) as whole:
        capacity.admit(0, of("c"))

    assert (share.value.queue, share.value.limit, share.value.tenant) == ("q", 5, "a")
    assert (whole.value.limit, whole.value.tenant, whole.value.retry_after_s) == (10, "", 2.0)
    assert (capacity.total, capacity.refused) == (10, 2)


@pytest.mark.parametrize(
    ("max_length", "share", "partitions", "per_actor", "of_tenant"),
    [
        (1_000, 0.5, 3, 1, 500),
        (8, 1.0, 8, 1, 8),
        (100, 0.29, 7, 2, 29),
        (2, 1.0, 9, 8, 2),
        (1_000_003, 0.3, 32, 5, 300_000),
    ],
)
def test_what_the_actors_may_hold_is_together_what_the_queue_may(
    max_length: int, share: float, partitions: int, per_actor: int, of_tenant: int
) -> None:
    whole = queue(max_length=max_length, tenant_share=share, partitions=partitions, partitions_per_actor=per_actor)

    actors = [Capacity(whole, whole.partitions_of(group)) for group in range(whole.groups)]

    assert sum(actor.limit for actor in actors) == max_length
    assert min(actor.limit for actor in actors) >= 1
    assert sum(actor.tenant_limit for actor in actors) == of_tenant


def test_of_each_tenant_all_is_taken_or_none() -> None:
    capacity = Capacity(queue(max_length=10, tenant_share=0.5), [0])
    counted(capacity, 0, a=3, c=4)
    together = [*of("a", 2), *of("c", 2), *of("b"), *of("a", 2)[1:], *of("d", 5)]

    with pytest.raises(QueueFullError) as whole:
        capacity.admit(0, together)
    assert (capacity.total, capacity.refused) == (7, 11)
    fitting, error = capacity.fitting(together)
    capacity.admit(0, fitting)

    assert error is not None
    assert [one.tenant for one in fitting] == ["b"]
    assert whole.value.args == error.args == ("q", 5, "a", 2.0, ("a", "c", "d"))
    assert (capacity.tenants(), capacity.refused) == ({"a": 3, "c": 4, "b": 1}, 21)
    assert capacity.fitting(of("b", 2)) == (of("b", 2), None)


def test_what_belongs_to_no_tenant_has_no_share_but_the_whole() -> None:
    capacity = Capacity(queue(max_length=4), [0])
    counted(capacity, 0)

    capacity.admit(0, of("", 4))
    with pytest.raises(QueueFullError):
        capacity.admit(0, of(""))


def test_only_tenants_with_something_waiting_are_held() -> None:
    capacity = Capacity(queue(), [0])
    counted(capacity, 0, a=1)

    capacity.admit(0, of("b"))
    capacity.gone(0, ["a", "b"])

    assert (capacity.tenants(), capacity.waiting(0), capacity.total) == ({}, 0, 0)


def test_nothing_is_let_in_before_all_partitions_of_the_actor_are_counted_or_given_up() -> None:
    capacity = Capacity(queue(partitions=4, max_length=8), [0, 1, 2])
    counted(capacity, 0)
    with pytest.raises(OwnerNotReadyError):
        capacity.admit(0, of("a"))
    counted(capacity, 1, a=2)
    capacity.missing(2)

    capacity.admit(0, of("a"))
    with pytest.raises(OwnerNotReadyError):
        capacity.admit(2, of("a"))

    assert capacity.limit == 6  # of three partitions of four
    with pytest.raises(QueueFullError):
        capacity.admit(1, of("a"))


def test_what_comes_and_goes_during_a_count_is_in_it() -> None:
    capacity = Capacity(queue(), [0])
    capacity.begin_count(0)
    capacity.gone(0, ["a", "a"])
    capacity.appeared(0, {"b": 3})
    capacity.counted(0, {"a": 5})

    assert capacity.tenants() == {"a": 3, "b": 3}
    capacity.begin_count(0)
    capacity.counted(0, {"a": 1})
    assert (capacity.tenants(), capacity.total) == ({"a": 1}, 1)


def test_a_partition_that_is_gone_counts_no_more() -> None:
    capacity = Capacity(queue(partitions=2), [0, 1])
    counted(capacity, 0, a=1)
    counted(capacity, 1, a=2, b=1)

    capacity.closed(1)

    assert (capacity.tenants(), capacity.total) == ({"a": 1}, 1)


async def test_publishers_at_once_fill_a_queue_to_the_message() -> None:
    database = MemoryDatabase()
    async with running(database, policy=ROOMY, max_length=100, tenant_share=0.3, window=10) as owner:
        await until(owning(owner))
        accepted: Counter[str] = Counter()

        async def publish(tenant: str, number: int) -> None:
            one = Message(f"{tenant}{number}", str(number), tenant, b"", {}, 0.0)
            try:
                await owner.partition.append([one])
            except QueueFullError:
                return
            accepted[tenant] += 1

        await asyncio.gather(*(publish(tenant, number) for tenant in "abcd" for number in range(64)))

        assert accepted.total() == len(database.waiting()) == 100
        assert accepted == {"a": 30, "b": 30, "c": 30, "d": 10}


async def test_limits_hold_to_the_message_through_failures_restarts_paging_and_dead_letters() -> None:
    database = MemoryDatabase()
    chance = random.Random(7)
    sent = 0

    async def act(owner: Owner) -> None:
        nonlocal sent
        for _ in range(60):
            if chance.random() < 0.1:
                database.lost_answers = 1
            messages = [
                Message(f"m{sent + place}", f"k{place}", chance.choice("ab"), b"", {}, 0.0)
                for place in range(chance.randint(1, 4))
            ]
            if chance.random() < 0.8:  # else the same once more
                sent += len(messages)
            with suppress(MailboxError):
                await owner.partition.append(messages)
            waiting = Counter(row.message.tenant for row in database.waiting())
            assert waiting.total() <= 20
            assert max(waiting.values(), default=0) <= 12
            if chance.random() < 0.5:
                owner.settle(owner.take(), ack() if chance.random() < 0.7 else reject("no"))
            await asyncio.sleep(0.001)

    for _ in range(6):
        async with running(database, policy=ROOMY, max_length=20, tenant_share=0.6, window=4, batch=2) as owner:
            await until(owning(owner))
            await act(owner)
            await until(owning(owner))
            # As full as can be: exact in the other direction, too.
            await until(lambda: not owner.partition._writer.settling)
            room = 20 - len(database.waiting())
            tenants = Counter(row.message.tenant for row in database.waiting())
            for number in range(room):
                sent += 1
                tenant = min("cde", key=lambda one: tenants[one])
                tenants[tenant] += 1
                await owner.partition.append([Message(f"fill{sent}", f"k{number}", tenant, b"", {}, 0.0)])
            with pytest.raises(QueueFullError):
                await owner.partition.append([message("too much")])
            assert len(database.waiting()) == 20
            await owner.consume(10)
    assert sent > 100


async def test_of_what_rides_together_as_much_is_taken_as_there_is_room_for() -> None:
    database = MemoryDatabase()
    async with running(database, policy=ROOMY, max_length=5, tenant_share=1) as owner:
        await until(owning(owner))

        results = await owner.partition.append([message(f"m{number}") for number in range(8)], [3, 3, 1, 1])

    assert results is not None
    assert [type(result) for result in results] == [type(None), QueueFullError, type(None), type(None)]
    assert [row.message.id for row in database.waiting()] == ["m0", "m1", "m2", "m6", "m7"]


async def test_a_tenants_full_share_keeps_no_other_out_that_comes_in_the_same_call() -> None:
    database = MemoryDatabase()
    async with running(database, policy=ROOMY, max_length=10, tenant_share=0.5) as owner:
        await until(owning(owner))
        await owner.partition.append(of("a", 4))
        flood = [Message(f"more{number}", "k", "a", b"", {}, 0.0) for number in range(2)]

        with pytest.raises(QueueFullError) as alone:
            await owner.partition.append([flood[0], *of("b"), flood[1]], [3])
        results = await owner.partition.append([*flood, *of("c"), *of("d"), flood[0]], [3, 1, 1])
        refused = owner.partition._capacity.refused

    assert (alone.value.tenant, alone.value.refused) == ("a", ("a",))
    assert results is not None
    assert [type(result) for result in results] == [QueueFullError, type(None), type(None)]
    assert [row.message.id for row in database.waiting()][4:] == ["b0", "c0", "d0", "more0"]
    assert refused == 4


class SlowCount(InMemoryJournal):
    """Counts, but not at once; ``counting`` lets it end."""

    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__(database)
        self.counting = asyncio.Event()

    async def count(self, counted: Counted) -> Count:
        raise JournalUnavailableError("memory", "TimeoutError")

    async def begin_count(self, counted: Counted) -> Counting:
        count, gate = await super().count(counted), self.counting

        class _Counting:
            snapshot = ""

            async def result(self) -> Count:
                await gate.wait()
                return count

            def abandon(self) -> None:
                return None

        return _Counting()


async def test_while_a_long_count_goes_on_messages_are_delivered_and_settled_and_none_is_let_in() -> None:
    database = MemoryDatabase()
    async with running(database, stops=True) as first:
        await until(owning(first))
        await first.partition.append([message(f"m{number}") for number in range(6)])
    await first.partition.stop(1.0)

    journal = SlowCount(database)
    async with running(database, journal=journal, max_length=6, tenant_share=1) as second:
        await until(owning(second))
        with pytest.raises(OwnerNotReadyError):
            await second.partition.append([message("early")])
        assert len(await second.consume(6)) == 6
        await until(lambda: len(database.settled) == 6)

        journal.counting.set()
        await until(lambda: second.partition.counted)

        await second.partition.append([message(f"n{number}") for number in range(6)])
        with pytest.raises(QueueFullError):
            await second.partition.append([message("late")])
