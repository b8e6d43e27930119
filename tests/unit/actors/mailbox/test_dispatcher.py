"""Dispatch, to consumers that answer nonsense."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actors.mailbox.consumer import ConsumerLostError, outcomes_of
from actors.mailbox.dispatcher import Dispatcher
from actors.mailbox.lane import Verdict
from actors.mailbox.message import Delivery, Message, Outcome, ack, reject, retry_after
from actors.mailbox.window import Window
from config.topology import Queue

NONSENSE: list[Any] = [
    None, 7, "ab", {}, (ack(), ack()), [], [ack()], [ack(), None], [ack(), ("ack", 0.0, "")],
    [ack(), Outcome._make(("lost", 0.0, "", False))], [ack(), Outcome("retry_after", float("nan"))],
    [ack(), Outcome._make(("reject", 0.0, None, False))],
]  # fmt: skip


@pytest.mark.parametrize("answer", NONSENSE)
def test_what_is_no_outcome_for_each_delivery_is_no_answer(answer: Any) -> None:
    with pytest.raises(ConsumerLostError) as caught:
        outcomes_of(answer, 2)

    assert caught.value.raised


def test_outcomes_are_taken_as_they_are() -> None:
    answer = [ack(), retry_after(10**400, "later"), reject("bad")]

    assert outcomes_of(answer, 3) is answer


class Scripted:
    """Answers a probe as it should, the first batch with nonsense or an error, and the others with ``ack``."""

    def __init__(self, first: Any) -> None:
        self._first: list[Any] = [first]
        self.batches: list[list[Delivery]] = []

    async def consume(self, batch: list[Delivery], timeout_s: float | None) -> object:
        if not batch:
            return []
        self.batches.append(batch)
        answer = self._first.pop() if self._first else [ack() for _ in batch]
        if isinstance(answer, Exception):
            raise answer
        return answer


@asynccontextmanager
async def dispatching(consumer: Scripted, total: int, key: str = "k{}", **fields: Any) -> AsyncIterator[list[Verdict]]:
    queue = Queue.model_validate({"name": "q", "bindings": [{"exchange": "x"}], **fields})
    window, verdicts = Window(queue), list[Verdict]()
    window.open(0, 0.0, time.monotonic())
    window.set_blocked(0, blocked=False, now=time.monotonic())
    for seq in range(total):
        window.offer(0, seq, Message(f"m{seq}", key.format(seq), "t", b"", {}, time.time()), time.monotonic())
    task = asyncio.ensure_future(Dispatcher(queue, window, consumer, verdicts.append, time.monotonic).run())
    try:
        yield verdicts
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60.0):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("first", [None, [ack()], [ack(), "ack"], RuntimeError("a fault")])
async def test_deliveries_of_a_consumer_that_answers_nonsense_come_back(first: Any) -> None:
    consumer = Scripted(first)
    async with dispatching(consumer, 2) as verdicts:
        await _until(lambda: sum(one.cause == "acknowledged" for one in verdicts) == 2)

    assert [len(batch) for batch in consumer.batches] == [2, 1, 1]
    assert all(batch[0].redelivered for batch in consumer.batches[1:])


def test_a_queue_that_nobody_consumes_misses_no_consumer_and_one_whose_consumer_has_not_answered_does() -> None:
    queue = Queue.model_validate({"name": "q", "bindings": [{"exchange": "x"}]})

    up = [
        Dispatcher(queue, Window(queue), consumer, lambda _: None, time.monotonic).consumer_up
        for consumer in (None, Scripted(None))
    ]

    assert up == [True, False]


@pytest.mark.parametrize("fields", [{}, {"linger_ms": 1000}])
async def test_messages_of_one_key_follow_each_other_without_a_pause(fields: dict[str, int]) -> None:
    consumer = Scripted([ack()])
    async with dispatching(consumer, 200, "one key", **fields) as verdicts:
        await _until(lambda: len(verdicts) == 200)

    assert [one.entry.message.id for one in verdicts] == [f"m{number}" for number in range(200)]
