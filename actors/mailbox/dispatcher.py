"""Hands the window's messages to the consumer, batch by batch, and passes on what it says of them."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from actors.mailbox.consumer import Consumer, ConsumerLostError, outcomes_of
from actors.mailbox.lane import Verdict
from actors.mailbox.message import Delivery
from actors.mailbox.pacing import dispatch_wait_s
from actors.mailbox.window import Window
from config.topology import Queue
from kernel.growth import growing_s
from telemetry.log import get_logger

_PROBE_S = 5.0
_PROBE_FIRST_S, _PROBE_LONGEST_S = 0.02, 1.0
_log = get_logger("mailbox")


class Dispatcher:
    """One queue's dispatch in one actor.

    After a call was lost, an empty batch asks whether the consumer is there before messages go to it again, so that an
    outage does not count against them. While it is away nothing ages.

    A call is under way for as long as one of its deliveries is leased. Then it makes room for others; what it answers
    within another lease is refused and counted.

    What raises while it dispatches, settles or records ends ``run``: nobody can say then what of the messages holds.

    Args:
        queue: its limits.
        window: the messages.
        consumer: None for a queue that nobody consumes.
        record: takes each verdict.
        clock: of the window.
    """

    def __init__(
        self,
        queue: Queue,
        window: Window,
        consumer: Consumer | None,
        record: Callable[[Verdict], None],
        clock: Callable[[], float],
    ) -> None:
        self._queue, self._window, self._consumer, self._record, self._clock = queue, window, consumer, record, clock
        self._wake = asyncio.Event()
        # Of ``run``, so that none of its calls ends unnoticed.
        self._tasks: asyncio.TaskGroup | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._overdue: set[asyncio.Task[None]] = set()
        self._last = float("-inf")
        self._consumer_up = False
        self._consumer_away = asyncio.Event()
        self._consumer_away.set()
        self.paused = False
        self.counters: Counter[str] = Counter()
        window.set_consumer_up(up=False, now=clock())

    @property
    def consumer_up(self) -> bool:
        """Whether the consumer answered last. A queue that has none, yet or at all, misses none."""
        return self._consumer is None or self._consumer_up

    def wake(self) -> None:
        """Something may have become deliverable."""
        self._wake.set()

    def pause(self, *, paused: bool) -> None:
        """Deliver nothing until told otherwise; what is in flight is settled."""
        self.paused = paused
        self._set_up(up=self._consumer_up)
        self.wake()

    def extend(self, tags: Iterable[int], lease_s: float) -> list[int]:
        """Extend leases; returns the tags of those deliveries that are still under way."""
        return self._window.extend(tags, lease_s, self._clock())

    async def run(self) -> None:
        """Dispatch until cancelled."""
        if self._consumer is None:
            return
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._deliver(self._consumer))
            tasks.create_task(self._look_for(self._consumer))

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is in flight; for the end of the actor."""
        if self._calls:
            await asyncio.wait(set(self._calls), timeout=timeout_s)

    async def _deliver(self, consumer: Consumer) -> None:
        while True:
            now = self._clock()
            self._lapse(now)
            self._tell(self._window.advance(now))
            wait_s = self._wait_s(now)
            if wait_s == 0:
                self._dispatch(consumer, now)
                continue
            event = self._window.next_event(now)
            if event is not None:
                wait_s = event - now if wait_s is None else min(wait_s, event - now)
            await self._sleep(wait_s)

    def _wait_s(self, now: float) -> float | None:
        if self.paused or not self._consumer_up:
            return None
        return dispatch_wait_s(
            self._queue,
            now=now,
            ready=self._window.ready,
            room=self._window.room,
            alone=self._window.suspect_ready,
            behind=self._window.has_behind,
            batches_in_flight=len(self._calls),
            last=self._last,
        )

    async def _sleep(self, wait_s: float | None) -> None:
        if wait_s is not None:
            timer = asyncio.get_running_loop().call_later(wait_s, self._wake.set)
            await self._wake.wait()
            timer.cancel()
        else:
            await self._wake.wait()
        self._wake.clear()

    def _dispatch(self, consumer: Consumer, now: float) -> None:
        batch = self._window.take(now)
        if not batch:
            return
        self._last = now
        self.counters["delivered"] += len(batch)
        self.counters["batches"] += 1
        assert self._tasks is not None
        self._calls.add(self._tasks.create_task(self._call(consumer, batch)))

    async def _call(self, consumer: Consumer, batch: list[Delivery]) -> None:
        task = asyncio.current_task()
        assert task is not None
        answer = asyncio.ensure_future(consumer.consume(batch, None))
        try:
            await self._while_leased(answer, [delivery.tag for delivery in batch])
            if not answer.done():
                _log.warning("consumer_overran_its_leases", queue=self._queue.name, messages=len(batch))
                self._calls.discard(task)
                self._overdue.add(task)
                self._lapse(self._clock())
                self._set_up(up=False)
                self.wake()
                await asyncio.wait({answer}, timeout=self._queue.lease_s)
            if answer.done():
                self._settle(batch, answer)
        finally:
            answer.cancel()
            self._calls.discard(task)
            self._overdue.discard(task)
            self.wake()

    async def _while_leased(self, answer: "asyncio.Future[object]", tags: Sequence[int]) -> None:
        """Wait for the answer until the last lease has run out, those that are extended meanwhile included."""
        until: float | None = self._clock() + self._queue.lease_s
        while until is not None and (left_s := until - self._clock()) > 0:
            await asyncio.wait({answer}, timeout=left_s)
            if answer.done():
                return
            until = self._window.leased_until(tags)

    def _settle(self, batch: list[Delivery], answer: "asyncio.Future[object]") -> None:
        now = self._clock()
        self._lapse(now)
        try:
            outcomes = outcomes_of(answer.result(), len(batch))
        except ConsumerLostError as error:
            self._lost(batch, error, now)
        except Exception as error:  # noqa: BLE001 - whatever it was, the deliveries are to come back
            _log.exception("consumer_call_raised", queue=self._queue.name)
            self._lost(batch, ConsumerLostError(type(error).__name__, raised=True), now)
        else:
            for delivery, outcome in zip(batch, outcomes, strict=True):
                verdict = self._window.settle(delivery.tag, outcome, now)
                if verdict is None:
                    self.counters["late"] += 1
                else:
                    self._record(verdict)

    def _lost(self, batch: list[Delivery], error: ConsumerLostError, now: float) -> None:
        _log.warning("deliveries_lost", queue=self._queue.name, messages=len(batch), error=str(error))
        if not error.raised:
            self._set_up(up=False)
        for delivery in batch:
            if error.raised:
                verdict = self._window.fail(delivery.tag, str(error), now, alone=len(batch) == 1)
            else:
                verdict = self._window.lose(delivery.tag, str(error), now, counts=error.reached)
            if verdict is not None:
                self.counters["failed" if error.raised else "lost"] += 1
                self._record(verdict)

    def _lapse(self, now: float) -> None:
        lapsed = self._window.lapse(now)
        if lapsed:
            _log.warning("leases_ran_out", queue=self._queue.name, messages=len(lapsed))
            self.counters["lost"] += len(lapsed)
            self._tell(lapsed)

    def _tell(self, verdicts: Iterable[Verdict]) -> None:
        for verdict in verdicts:
            self._record(verdict)

    async def _look_for(self, consumer: Consumer) -> None:
        while True:
            await self._consumer_away.wait()
            await self._probe(consumer)
            self.wake()

    async def _probe(self, consumer: Consumer) -> None:
        failures = 0
        while True:
            try:
                outcomes_of(await consumer.consume([], _PROBE_S), 0)
            except ConsumerLostError as error:
                failures += 1
                if failures == 10:
                    _log.warning("consumer_away", queue=self._queue.name, error=str(error))
                delay_s = growing_s(failures, _PROBE_FIRST_S, _PROBE_LONGEST_S)
                await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads attempts, guards nothing
            else:
                self._set_up(up=True)
                return

    def _set_up(self, *, up: bool) -> None:
        self._consumer_up = up
        if up:
            self._consumer_away.clear()
        else:
            self._consumer_away.set()
        self._window.set_consumer_up(up=up and not self.paused, now=self._clock())
