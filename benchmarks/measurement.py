"""One run of load against one system, with what it cost: the step of which every part of a turn is made."""

import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from benchmarks.accounting import Snapshot, consumed, per_message_ms, snapshot
from benchmarks.ledger import Ledger, Reply, reply_latencies_s
from benchmarks.load.job import Job, LoadResult
from benchmarks.load.process import run_load
from benchmarks.merchants import MERCHANTS, merchant
from benchmarks.messages import envelope, signature
from benchmarks.outbox import Outbox
from benchmarks.system import System

_REPLY_STALL_S = 30.0
_LOAD_LIMIT_S = 600.0
_TRY_LIMIT_S = 10.0
# After the last reply its wamid is still recorded and its message settled, which belongs to its cost.
_SETTLE_S = 0.5


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run of load showed.

    Attributes:
        load: the generator's side.
        replies: what came to the stand-in since the load began; empty where replies were not awaited.
        cpu_ms: CPU a message by role, of the system alone.
        tools_ms: CPU a message of the load generator and the stand-in.
        others_s: CPU seconds that the rest of the machine used meanwhile; large means that figures are disturbed.
    """

    load: LoadResult
    replies: list[Reply]
    cpu_ms: Mapping[str, float]
    tools_ms: Mapping[str, float]
    others_s: float

    @property
    def acks_per_s(self) -> float:
        return (len(self.load.statuses) - self.load.refused) / self.load.elapsed_s

    @property
    def answers_per_s(self) -> float:
        """From the first message due to the last reply."""
        if not self.replies:
            return 0.0
        return len(self.replies) / (max(reply.monotonic_s for reply in self.replies) - min(self.load.due_s))

    @property
    def reply_latencies_s(self) -> list[float]:
        return reply_latencies_s(self.load.first, self.load.due_s, self.replies)


class Bench:
    """A running system with its stand-in: sends load to it, never one message twice, and keeps the ledger."""

    def __init__(self, system: System, outbox: Outbox, first: int) -> None:
        self.system = system
        self.outbox = outbox
        self.ledger = Ledger()
        self.next_sequence = first

    def try_one(self) -> bool:
        """Send the first message once; whether it was answered 200. Until it is, it is the same message."""
        body = envelope(merchant(self.next_sequence % MERCHANTS), self.next_sequence, int(time.time()))
        headers = {"Content-Type": "application/json", "X-Hub-Signature-256": signature(body)}
        request = urllib.request.Request(self.system.webhook_url, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=_TRY_LIMIT_S) as answer:
                status = answer.status
        except OSError:  # refused, timed out, or a status that is an error
            return False
        if status != 200:
            return False
        self.ledger.sent(self.next_sequence, [200])
        self.next_sequence += 1
        return True

    def measure(
        self, *, count: int, connections: int, rate: float | None = None, await_replies: bool = True
    ) -> Measurement:
        """Send ``count`` new messages and account for them.

        Args:
            count: how many.
            connections: as in ``Job``.
            rate: as in ``Job``.
            await_replies: whether the measurement ends with the last reply or with the last acknowledgement.
        """
        first, self.next_sequence = self.next_sequence, self.next_sequence + count
        replies_before = self.outbox.count()
        before: list[_Clocks] = []
        load = run_load(
            Job(self.system.webhook_url, first, count, connections, rate),
            lambda: before.append(self._clocks()),
            limit_s=_LOAD_LIMIT_S,
        )
        self.ledger.sent(first, load.statuses)
        if await_replies:
            self.outbox.wait_for(replies_before + count - load.refused, stall_s=_REPLY_STALL_S)
            time.sleep(_SETTLE_S)
        return self._accounted(load, before[0], self._clocks(), replies_before if await_replies else None)

    def drain(self, expected: int) -> None:
        """Wait until the stand-in has been given so many messages in all, or no more come."""
        self.outbox.wait_for(expected, stall_s=_REPLY_STALL_S)

    def _accounted(
        self, load: LoadResult, before: "_Clocks", after: "_Clocks", replies_after: int | None
    ) -> Measurement:
        count = len(load.statuses)
        used = consumed(before.system, after.system)
        standin_s = after.standin_s - before.standin_s
        ours = sum(used.values()) + load.cpu_s + standin_s
        return Measurement(
            load,
            self.outbox.replies(replies_after) if replies_after is not None else [],
            per_message_ms(used, count),
            per_message_ms({"load generator": load.cpu_s, "Graph API stand-in": standin_s}, count),
            max(0.0, after.machine_s - before.machine_s - ours),
        )

    def _clocks(self) -> "_Clocks":
        return _Clocks(snapshot(self.system.processes(), self.system.role), self.outbox.cpu_s(), _machine_busy_s())


@dataclass(frozen=True, slots=True)
class _Clocks:
    system: Snapshot
    standin_s: float
    machine_s: float


def _machine_busy_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)
