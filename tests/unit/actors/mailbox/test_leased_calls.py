"""Calls to the consumer and the leases of what they carry."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from actors.mailbox.consumer import ConsumerLostError
from actors.mailbox.dispatcher import Dispatcher
from actors.mailbox.lane import Verdict
from actors.mailbox.message import Delivery, Message, ack
from actors.mailbox.window import Window
from config.topology import Queue

LEASE_S = 2.0


class Slow:
    """Answers a batch when the test lets it, unless a message is one of those that it raises at."""

    def __init__(self, raises_at: str = "") -> None:
        self.batches: list[list[Delivery]] = []
        self.go = asyncio.Event()
        self.raises_at = raises_at

    async def consume(self, batch: list[Delivery], timeout_s: float | None) -> object:
        if not batch:
            return []
        self.batches.append(batch)
        if self.raises_at:
            if any(one.message.id == self.raises_at for one in batch):
                raise ConsumerLostError("it raised ValueError", raised=True)
        elif len(self.batches) == 1:
            await self.go.wait()
        return [ack() for _ in batch]


@asynccontextmanager
async def dispatching(consumer: Slow, total: int, **fields: Any) -> AsyncIterator[tuple[Dispatcher, list[Verdict]]]:
    queue = Queue.model_validate(
        {"name": "q", "bindings": [{"exchange": "x"}], "linger_ms": 0, "lease_s": LEASE_S, **fields}
    )
    window, verdicts = Window(queue), list[Verdict]()
    window.open(0, 0.0, time.monotonic())
    window.set_blocked(0, blocked=False, now=time.monotonic())
    for seq in range(total):
        window.offer(0, seq, Message(f"m{seq}", f"k{seq}", "t", b"", {}, time.time()), time.monotonic())
    dispatcher = Dispatcher(queue, window, consumer, verdicts.append, time.monotonic)
    task = asyncio.ensure_future(dispatcher.run())
    try:
        yield dispatcher, verdicts
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60.0):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)


def causes(verdicts: list[Verdict]) -> Counter[str | None]:
    return Counter(one.cause for one in verdicts)


async def test_what_overruns_its_lease_is_delivered_again_and_the_late_answer_is_refused() -> None:
    consumer = Slow()
    async with dispatching(consumer, 1, lease_s=1.5) as (dispatcher, verdicts):
        await until(lambda: causes(verdicts)["acknowledged"] == 1)
        assert not consumer.go.is_set()
        consumer.go.set()
        await until(lambda: dispatcher.counters["late"] == 1)

    assert [one.cause for one in verdicts] == [None, "acknowledged"]
    assert dispatcher.counters["lost"] == 1
    assert consumer.batches[0][0].tag != consumer.batches[1][0].tag


async def test_a_call_goes_on_as_long_as_one_of_its_leases_is_extended() -> None:
    consumer = Slow()
    async with dispatching(consumer, 2, batches_in_flight=1) as (dispatcher, verdicts):
        await until(lambda: len(consumer.batches) == 1)
        kept, left = consumer.batches[0]
        for _ in range(12):
            assert dispatcher.extend([kept.tag], LEASE_S) == [kept.tag]
            await asyncio.sleep(LEASE_S / 8)
        assert len(consumer.batches) == 1, "the call was given up"
        consumer.go.set()
        await until(lambda: causes(verdicts)["acknowledged"] == 2)

    assert dispatcher.counters["late"] == 1
    assert [len(batch) for batch in consumer.batches] == [2, 1]
    assert consumer.batches[1][0].message == left.message


async def test_a_consumer_that_never_answers_does_not_keep_its_place() -> None:
    consumer = Slow()
    async with dispatching(consumer, 1, batches_in_flight=1) as (dispatcher, verdicts):
        await until(lambda: causes(verdicts)["acknowledged"] == 1)
        await until(lambda: not dispatcher._overdue)

    assert dispatcher.counters["late"] == 0


async def test_the_one_message_at_which_a_consumer_raises_is_found_and_it_alone_uses_up_its_tries() -> None:
    consumer = Slow(raises_at="m1")
    async with dispatching(consumer, 3, max_retries=0, lease_s=30.0) as (dispatcher, verdicts):
        await until(lambda: causes(verdicts)["acknowledged"] == 2)
        await until(lambda: causes(verdicts)["rejected"] == 1)

    assert [len(batch) for batch in consumer.batches] == [3, 1, 1, 1]
    [rejected] = [one for one in verdicts if one.cause == "rejected"]
    assert (rejected.entry.message.id, rejected.reason) == ("m1", "it raised ValueError")
    assert dispatcher.counters["lost"] == 0
