"""Coalescing, and repeating until the deadline."""

import asyncio
import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from actors.mailbox.errors import (
    FencedError,
    JournalUnavailableError,
    MailboxError,
    OverloadedError,
    OwnerNotReadyError,
    OwnerUnreachableError,
    QueueFullError,
)
from actors.mailbox.message import Message
from actors.mailbox.publisher import Errors, GaveUpError, Publisher, PublisherLimits, packed

LIMITS = PublisherLimits(calls=2, beside=1, call_messages=4, call_bytes=100, waiting_messages=20, retry_first_s=0.001)


class FakeActor:
    """Notes each call and answers when it is let."""

    def __init__(self, *answers: Mapping[int, Any]) -> None:
        self.calls: list[dict[int, list[str]]] = []
        self.open = asyncio.Event()
        self._answers = list(answers)

    async def append(self, batch: bytes) -> Errors:
        self.calls.append({number: [one[0] for one in messages] for number, messages, _ in pickle.loads(batch)})
        await self.open.wait()
        return dict(self._answers.pop(0)) if self._answers else {}


def item(message_id: str, partition: int = 0, body: bytes = b"", tenant: str = "t") -> tuple[int, tuple[Any, ...]]:
    return partition, packed(Message(message_id, "k", tenant, body, {}, 0.0))


def soon(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_what_comes_while_two_calls_are_under_way_rides_together() -> None:
    actor = FakeActor()
    publisher = Publisher("q", actor.append, LIMITS)
    tasks = []
    for number in range(8):
        tasks.append(asyncio.ensure_future(publisher.publish([item(str(number))], soon())))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    actor.open.set()
    await asyncio.gather(*tasks)

    assert actor.calls == [{0: ["0"]}, {0: ["1"]}, {0: ["2", "3", "4", "5"]}, {0: ["6", "7"]}]


async def test_a_few_wait_for_the_call_under_way_and_many_do_not() -> None:
    actor = FakeActor()
    publisher = Publisher("q", actor.append, LIMITS._replace(beside=3))
    tasks = []
    for number in range(4):
        tasks.append(asyncio.ensure_future(publisher.publish([item(str(number))], soon())))
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(actor.calls) == (1 if number < 3 else 2)
    actor.open.set()
    await asyncio.gather(*tasks)

    assert actor.calls == [{0: ["0"]}, {0: ["1", "2", "3"]}]


async def test_a_call_is_not_larger_than_allowed() -> None:
    actor = FakeActor()
    actor.open.set()
    publisher = Publisher("q", actor.append, LIMITS)

    await publisher.publish([item(str(number)) for number in range(9)], soon())
    await asyncio.gather(*(publisher.publish([item(f"b{n}", body=b"x" * 60)], soon()) for n in range(4)))

    sizes = [sum(len(ids) for ids in call.values()) for call in actor.calls]
    assert sizes[:3] == [4, 4, 1]
    assert sizes[3:] == [1, 1, 1, 1]


async def test_what_one_publisher_has_goes_in_order_in_calls_of_so_many_bytes() -> None:
    calls: list[tuple[list[str], int]] = []

    async def append(batch: bytes) -> Errors:
        bodies = [(one[0], len(one[3])) for _, messages, _ in pickle.loads(batch) for one in messages]
        calls.append(([message_id for message_id, _ in bodies], sum(size for _, size in bodies)))
        return {}

    publisher = Publisher("q", append, LIMITS._replace(call_messages=512))
    sizes = [60, 40, 1, 30, 100, 99, 2, 98]

    await publisher.publish([item(str(at), body=b"x" * size) for at, size in enumerate(sizes)], soon())

    assert calls == [(["0", "1"], 100), (["2", "3"], 31), (["4"], 100), (["5"], 99), (["6", "7"], 100)]


async def test_where_a_later_call_of_a_publisher_fails_for_good_the_rest_is_given_up_with_it() -> None:
    dead: Errors = {0: OwnerUnreachableError("q", "dead")}
    answers: list[Errors] = [{}, dead, dead, dead]

    async def append(_: bytes) -> Errors:
        return answers.pop(0)

    publisher = Publisher("q", append, LIMITS._replace(again_first_s=0.001))
    with pytest.raises(GaveUpError) as given_up:
        await publisher.publish([item(str(number), body=b"x" * 100) for number in range(4)], soon())

    assert [message[0] for _, message in given_up.value.items] == ["1", "2", "3"]


async def test_only_what_failed_is_published_again() -> None:
    actor = FakeActor({1: FencedError("q", 1, 7)}, {1: OwnerNotReadyError("q", "starting")})
    actor.open.set()
    publisher = Publisher("q", actor.append, LIMITS)

    await publisher.publish([item("a", 0), item("b", 1)], soon())

    assert actor.calls == [{0: ["a"], 1: ["b"]}, {1: ["b"]}, {1: ["b"]}]


async def test_what_is_not_committed_by_the_deadline_is_unavailable() -> None:
    actor = FakeActor()
    publisher = Publisher("q", actor.append, LIMITS)
    with pytest.raises(JournalUnavailableError):
        await publisher.publish([item("a")], soon(0.01))

    fenced = FakeActor(*({0: FencedError("q", 0, 1)} for _ in range(1000)))
    fenced.open.set()
    with pytest.raises(JournalUnavailableError):
        await Publisher("q", fenced.append, LIMITS).publish([item("a")], soon(0.01))


async def test_overload_goes_straight_back_to_the_publisher() -> None:
    actor = FakeActor({0: OverloadedError("q", 0.2)})
    publisher = Publisher("q", actor.append, LIMITS._replace(waiting_messages=1))
    first = asyncio.ensure_future(publisher.publish([item("a")], soon()))
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await publisher.publish([item("b"), item("c")], soon())
    actor.open.set()
    with pytest.raises(OverloadedError):
        await first


async def test_an_owner_that_cannot_be_reached_is_tried_three_times_under_the_same_ids() -> None:
    actor = FakeActor({0: OwnerUnreachableError("q", "dead")}, {0: OwnerUnreachableError("q", "dead")})
    actor.open.set()
    limits = LIMITS._replace(again_first_s=0.001)

    await Publisher("q", actor.append, limits).publish([item("a")], soon())
    assert actor.calls == [{0: ["a"]}] * 3

    gone = FakeActor(*({0: OwnerUnreachableError("q", "dead")} for _ in range(9)))
    gone.open.set()
    with pytest.raises(GaveUpError) as given_up:
        await Publisher("q", gone.append, limits).publish([item(str(number)) for number in range(6)], soon())
    assert gone.calls == [{0: ["0", "1", "2", "3"]}] * 3
    assert [(one[0], one[4]["x-retry-count"]) for _, one in given_up.value.items[:4]] == [(str(n), 3) for n in range(4)]
    assert [one[0] for _, one in given_up.value.items] == list("012345")


@pytest.mark.parametrize(
    "error",
    [QueueFullError("q", 10, "t", 2), JournalUnavailableError("q", "full"), OverloadedError("q", 1)],
)
async def test_what_the_owner_says_no_to_goes_straight_to_who_publishes(error: MailboxError) -> None:
    actor = FakeActor({0: error, 1: OwnerNotReadyError("q", "starting")})
    actor.open.set()

    with pytest.raises(type(error)):
        await Publisher("q", actor.append, LIMITS).publish([item("a"), item("b", 1)], soon())

    assert len(actor.calls) == 1


async def test_the_tries_fit_into_the_time_that_there_is() -> None:
    gone = FakeActor(*({0: OwnerUnreachableError("q", "dead")} for _ in range(9)))
    gone.open.set()
    loop = asyncio.get_running_loop()
    started = loop.time()

    with pytest.raises(GaveUpError):
        await Publisher("q", gone.append, LIMITS).publish([item("a")], soon(0.2), 0.05)

    assert len(gone.calls) == 3
    assert loop.time() - started < 0.15


async def test_all_whom_a_call_has_answered_ride_together_in_the_next_one() -> None:
    actor = FakeActor()
    actor.open.set()
    publisher = Publisher("q", actor.append, LIMITS._replace(beside=2, linger_s=0.0, call_messages=100))

    async def one_after_the_other(name: str) -> None:
        for number in range(3):
            await publisher.publish([item(f"{name}{number}")], soon())

    await asyncio.gather(*(one_after_the_other(name) for name in "abcdef"))

    assert [len(call[0]) for call in actor.calls] == [6, 6, 6]


async def test_of_publishers_that_ride_together_each_hears_how_it_fared_itself() -> None:
    full = QueueFullError("q", 10, "t", 2.0)
    actor = FakeActor({}, {0: [None, full, None], 1: [full, None]})
    publisher = Publisher("q", actor.append, LIMITS._replace(call_messages=20, calls=1))
    first = [asyncio.ensure_future(publisher.publish([item("x")], soon()))]
    await asyncio.sleep(0.01)
    together = [
        asyncio.ensure_future(publisher.publish(items, soon()))
        for items in ([item("a"), item("a2")], [item("b"), item("b2", 1)], [item("c"), item("c2", 1)])
    ]
    actor.open.set()
    results = await asyncio.gather(*first, *together, return_exceptions=True)

    assert [type(result) for result in results[-3:]] == [type(None), QueueFullError, type(None)]


async def test_one_tenants_full_share_keeps_nothing_back_of_others_however_many_calls_it_takes() -> None:
    actor = FakeActor({0: QueueFullError("q", 5, "a", 2.0, ("a",)), 1: QueueFullError("q", 5, "c", 2.0, ("c",))})
    actor.open.set()
    publisher = Publisher("q", actor.append, LIMITS)
    items = [item(f"{tenant}{number}", number % 2, tenant=tenant) for number in range(4) for tenant in "abc"]

    with pytest.raises(QueueFullError) as refused:
        await publisher.publish(items, soon())

    assert (refused.value.tenant, refused.value.refused) == ("a", ("a", "c"))
    assert actor.calls[0] == {0: ["a0", "b0", "c0"], 1: ["a1"]}
    assert actor.calls[1:] == [{1: ["b1"], 0: ["b2"]}, {1: ["b3"]}], "and of who was refused nothing that follows"


async def test_a_call_that_reaches_nobody_after_a_tenant_was_refused_leaves_no_dead_letters() -> None:
    gone = {0: OwnerUnreachableError("q", "no such actor")}
    actor = FakeActor({0: QueueFullError("q", 5, "a", 2.0, ("a",))}, gone)
    actor.open.set()
    publisher = Publisher("q", actor.append, LIMITS._replace(tries=1))
    items = [item(f"a{number}", tenant="a") for number in range(4)] + [item("b", tenant="b")]

    with pytest.raises(QueueFullError):
        await publisher.publish(items, soon())

    assert len(actor.calls) == 2
