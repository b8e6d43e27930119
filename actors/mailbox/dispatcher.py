"""Hands the window's messages to the consumer, batch by batch, and passes on what it says of them."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable

from actors.mailbox.consumer import Consumer, ConsumerLostError, outcomes_of
from actors.mailbox.message import Delivery
from actors.mailbox.pacing import dispatch_wait_s
from actors.mailbox.retry import growing_s
from actors.mailbox.window import Verdict, Window
from config.topology import Queue
from telemetry.log import get_logger

_PROBE_S = 5.0
_PROBE_FIRST_S, _PROBE_LONGEST_S = 0.02, 1.0
_log = get_logger("mailbox")


class Dispatcher:
    """One queue's dispatch in one actor.

    After a call was lost, an empty batch asks whether the consumer is there before messages go to it again, so that an
    outage does not count against them. While it is away nothing ages.

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
        self._calls: set[asyncio.Task[None]] = set()
        self._last = float("-inf")
        self._consumer_up = False
        self.paused = False
        self.counters: Counter[str] = Counter()
        window.set_consumer_up(up=False, now=clock())

    @property
    def consumer_up(self) -> bool:
        """Whether the consumer answered last."""
        return self._consumer_up

    def wake(self) -> None:
        """Something may have become deliverable."""
        self._wake.set()

    def pause(self, *, paused: bool) -> None:
        """Deliver nothing until told otherwise; what is in flight is settled."""
        self.paused = paused
        self._set_up(up=self._consumer_up)
        self.wake()

    async def run(self) -> None:
        """Dispatch until cancelled."""
        if self._consumer is None:
            return
        while True:
            if not self._consumer_up:
                await self._probe(self._consumer)
            now = self._clock()
            for verdict in self._window.advance(now):
                self._record(verdict)
            wait_s = self._wait_s(now)
            if wait_s == 0:
                self._dispatch(self._consumer, now)
                continue
            event = self._window.next_event(now)
            if event is not None:
                wait_s = event - now if wait_s is None else min(wait_s, event - now)
            await self._sleep(wait_s)

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is in flight; for the end of the actor."""
        if self._calls:
            await asyncio.wait(set(self._calls), timeout=timeout_s)

    def _wait_s(self, now: float) -> float | None:
        if self.paused:
            return None
        return dispatch_wait_s(
            self._queue, now=now, ready=self._window.ready, batches_in_flight=len(self._calls), last=self._last
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
        call = asyncio.get_running_loop().create_task(self._call(consumer, batch))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _call(self, consumer: Consumer, batch: list[Delivery]) -> None:
        try:
            outcomes = outcomes_of(await consumer.consume(batch, self._queue.lease_s), len(batch))
        except ConsumerLostError as error:
            self._lost(batch, str(error), raised=error.raised)
        except Exception as error:  # noqa: BLE001 - whatever it was, the deliveries are to come back
            _log.exception("consumer_call_raised", queue=self._queue.name)
            self._lost(batch, type(error).__name__, raised=True)
        else:
            now = self._clock()
            for delivery, outcome in zip(batch, outcomes, strict=True):
                verdict = self._window.settle(delivery.tag, outcome, now)
                if verdict is not None:
                    self._record(verdict)
        finally:
            task = asyncio.current_task()
            assert task is not None
            self._calls.discard(task)
            self.wake()

    def _lost(self, batch: list[Delivery], detail: str, *, raised: bool) -> None:
        _log.warning("deliveries_lost", queue=self._queue.name, messages=len(batch), error=detail)
        now = self._clock()
        self.counters["lost"] += len(batch)
        if not raised:
            self._set_up(up=False)
        for delivery in batch:
            verdict = self._window.lose(delivery.tag, detail, now)
            if verdict is not None:
                self._record(verdict)

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
        self._window.set_consumer_up(up=up and not self.paused, now=self._clock())
