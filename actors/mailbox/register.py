"""Writes down what becomes of a partition's messages. What cannot be written down harms no other, and is not lost."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from actors.mailbox.deaths import dead_letter
from actors.mailbox.intake import Intake
from actors.mailbox.journal import Settlement
from actors.mailbox.lane import Verdict
from actors.mailbox.message import HeaderValue, Message
from actors.mailbox.records import retry_of, settlement_of
from actors.mailbox.writer import Writer
from config.topology import Queue
from telemetry.log import get_logger

# More than that is no message's fault.
_MOST_LEFT = 1_000
_BARE: Mapping[str, HeaderValue] = {}
_log = get_logger("mailbox")


class _End(NamedTuple):
    """A message's settlement, and its dead letter."""

    settlement: Settlement
    letter: Message | None


class Register:
    """Turns verdicts into records, and only then has them written.

    A verdict of which no record can be made, whatever raises, is replaced: the message becomes a corrupt dead letter
    without its headers. If that cannot be made either the verdict is kept and tried again with each tick; meanwhile the
    message counts as waiting, so that the next owner reads it from the journal.

    Args:
        queue: whose.
        writer: takes the records.
        intake: is told what is over.
        counters: of the partition.
        has_dead_letters: whether the queue has a dead-letter queue.
        clock: of the window.
    """

    def __init__(
        self,
        queue: Queue,
        writer: Writer,
        intake: Intake,
        counters: Counter[str],
        *,
        has_dead_letters: bool,
        clock: Callable[[], float],
    ) -> None:
        self._queue, self._writer, self._intake, self._counters = queue, writer, intake, counters
        self._has_dead_letters, self._clock = has_dead_letters, clock
        self._left: dict[int, Verdict] = {}

    def record(self, verdict: Verdict) -> None:
        """Write what became of a message; raises where nobody can say whether it will be."""
        if verdict.cause is None:
            self._retry(verdict)
            return
        end = self._end(verdict)
        if end is None:
            self._leave(verdict)
        else:
            self._intake.over(verdict.entry.seq, self._clock())
            self._write(verdict, end)

    def again(self) -> None:
        """Try once more what could not be written down."""
        for seq, verdict in list(self._left.items()):
            end = self._end(verdict)
            if end is not None:
                del self._left[seq]
                self._write(verdict, end)
                self._intake.take_up(seq)

    def forget(self) -> None:
        """All that is not settled is read from the journal again."""
        self._left.clear()

    def _retry(self, verdict: Verdict) -> None:
        self._counters["retried"] += 1
        try:
            retry = retry_of(verdict, now=self._clock(), wall=time.time())
        except Exception:  # noqa: BLE001 - it is tried again all the same, only a new owner does not know of it
            self._complain(verdict, "retry_not_recorded")
        else:
            self._writer.retry(retry)

    def _end(self, verdict: Verdict) -> _End | None:
        try:
            return self._as_told(verdict)
        except Exception as error:  # noqa: BLE001 - whatever stands in the message, it harms itself alone
            if verdict.entry.seq not in self._left:
                self._complain(verdict, "verdict_not_recorded")
            fault = type(error).__name__
        try:
            bare = verdict.entry.message._replace(headers=_BARE)
            corrupt = verdict._replace(cause="corrupt", reason=f"{verdict.cause}, {fault}")
            return self._as_told(corrupt, bare)
        except Exception:  # noqa: BLE001 - told of above
            return None

    def _as_told(self, verdict: Verdict, message: Message | None = None) -> _End:
        message = verdict.entry.message if message is None else message
        letter = None
        assert verdict.cause is not None
        if verdict.cause not in {"acknowledged", "purged"} and self._has_dead_letters:
            letter = dead_letter(message, self._queue, verdict.cause, verdict.reason, time.time())
        return _End(settlement_of(verdict), letter)

    def _write(self, verdict: Verdict, end: _End) -> None:
        self._counters[end.settlement.cause] += 1
        self._writer.settle(end.settlement, verdict.entry.message.tenant, end.letter)

    def _leave(self, verdict: Verdict) -> None:
        if len(self._left) >= _MOST_LEFT:
            raise RuntimeError("nothing can be written down")
        self._left[verdict.entry.seq] = verdict
        self._intake.set_aside(verdict.entry.seq, self._clock())

    def _complain(self, verdict: Verdict, event: str) -> None:
        _log.exception(
            event, queue=self._queue.name, partition=verdict.entry.partition, seq=verdict.entry.seq, cause=verdict.cause
        )
