"""One system's turn: started, measured part by part, its replies checked, ended."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.accounting import consumed, memory, snapshot
from benchmarks.ledger import Verdict
from benchmarks.measurement import Bench, Measurement
from benchmarks.outbox import Outbox
from benchmarks.percentiles import summarize
from benchmarks.system import System
from cluster.process import wait_until

PARTS = ("idle", "acks", "answers", "steady", "acks-steady", "single")
_MEBIBYTE = 1024 * 1024
_IDLE_S = 5.0
_LATE_S = 2.0
_START_LIMIT_S = 120.0
# Bytecode, plans, pools and caches are warm after this.
_WARM_UP = 400


@dataclass(frozen=True, slots=True)
class Scale:
    """How much load each part sends.

    Attributes:
        messages: of the part ``answers``.
        acks: of ``acks`` at 32 connections; a quarter of it at one.
        steady_s: seconds that each open loop lasts.
        singles: messages that are sent alone.
    """

    messages: int = 3000
    acks: int = 4000
    steady_s: float = 20.0
    singles: int = 30


@dataclass(slots=True)
class TurnReport:
    """What one turn showed.

    Attributes:
        figures: name with unit to value.
        cpu_ms: by part, CPU a message by role.
        tools_ms: by part, CPU a message of generator and stand-in.
        memory_mib: PSS by role: idle, and after all load.
        verdict: over all messages of the turn.
    """

    system: str
    http_processes: int
    figures: dict[str, float] = field(default_factory=dict)
    cpu_ms: dict[str, Mapping[str, float]] = field(default_factory=dict)
    tools_ms: dict[str, Mapping[str, float]] = field(default_factory=dict)
    memory_mib: dict[str, Mapping[str, float]] = field(default_factory=dict)
    verdict: Verdict = field(default_factory=Verdict)
    next_sequence: int = 0


class Turn:
    """Runs the parts asked for, in a fixed order, and fills in a report."""

    def __init__(self, system: System, outbox: Outbox, first: int, scale: Scale, http_processes: int) -> None:
        self._bench = Bench(system, outbox, first)
        self._system = system
        self._scale = scale
        self._report = TurnReport(system.name, http_processes)
        self._http_processes = http_processes

    def run(self, parts: frozenset[str]) -> TurnReport:
        """Start the system, run the parts, check all replies, and end the system whatever happens."""
        begun = time.monotonic()
        try:
            self._system.start(self._bench.outbox.url, self._http_processes)
            self._until_first_200(begun)
            if "idle" in parts:
                self._idle()
            self._bench.measure(count=_WARM_UP, connections=16)
            steps: Mapping[str, Callable[[], None]] = {
                "acks": self._acks,
                "answers": self._answers,
                "steady": self._steady,
                "acks-steady": self._acks_steady,
                "single": self._singles,
            }
            for part, step in steps.items():
                if part in parts:
                    print(f"  {self._system.name}: {part}", flush=True)
                    step()
            self._check()
        finally:
            self._system.stop()
        return self._report

    def _until_first_200(self, begun: float) -> None:
        deadline = begun + _START_LIMIT_S
        while not self._bench.try_one():
            if not wait_until(deadline, 0.1):
                raise RuntimeError(f"{self._system.name} did not answer 200 within {_START_LIMIT_S:g} s")
        self._report.figures["start to first 200, s"] = time.monotonic() - begun
        self._bench.drain(1)
        self._report.figures["start to first reply, s"] = time.monotonic() - begun

    def _idle(self) -> None:
        time.sleep(_IDLE_S)
        before = snapshot(self._system.processes(), self._system.role)
        time.sleep(_IDLE_S)
        used = consumed(before, snapshot(self._system.processes(), self._system.role))
        self._report.figures["idle CPU, % of one core"] = sum(used.values()) / _IDLE_S * 100
        self._memory("idle")

    def _acks(self) -> None:
        self._system.pause()
        try:
            before = self._bench.outbox.count()
            accepted = 0
            for connections, count in ((1, self._scale.acks // 4), (32, self._scale.acks)):
                one = self._bench.measure(count=count, connections=connections, await_replies=False)
                accepted += count - one.load.refused
                self._acknowledged(f"{connections} connection{'s' * (connections > 1)}", one)
                self._note(f"acks, {connections}", one)
        finally:
            self._system.resume()
        self._bench.drain(before + accepted)
        # Between the first reply and the last, for resuming itself takes its time.
        at_s = [reply.monotonic_s for reply in self._bench.outbox.replies(before)]
        if len(at_s) > 1:
            self._report.figures["answers/s from a backlog"] = (len(at_s) - 1) / (max(at_s) - min(at_s))

    def _answers(self) -> None:
        one = self._bench.measure(count=self._scale.messages, connections=32)
        self._report.figures["answers/s"] = one.answers_per_s
        self._note("answers", one)

    def _steady(self) -> None:
        one = self._bench.measure(count=int(self._scale.steady_s * 200), connections=256, rate=200)
        self._latencies("ack at 200/s", one.load.latencies_s)
        self._latencies("reply at 200/s", one.reply_latencies_s)
        self._report.figures["CPU a message at 200/s, ms"] = one.cpu_ms["total"]
        self._note("steady", one)

    def _acks_steady(self) -> None:
        one = self._bench.measure(count=int(self._scale.steady_s * 300), connections=256, rate=300)
        self._latencies("ack at 300/s", one.load.latencies_s)
        self._latencies("reply at 300/s", one.reply_latencies_s)
        self._note("acks at 300/s", one)

    def _singles(self) -> None:
        one = self._bench.measure(count=self._scale.singles, connections=4, rate=3)
        self._latencies("one alone, ack", one.load.latencies_s)
        self._latencies("one alone, reply", one.reply_latencies_s)

    def _check(self) -> None:
        time.sleep(_LATE_S)
        self._memory("after load")
        self._report.verdict = self._bench.ledger.verdict(self._bench.outbox.replies())
        self._report.next_sequence = self._bench.next_sequence

    def _acknowledged(self, what: str, one: Measurement) -> None:
        self._report.figures[f"acks/s, {what}"] = one.acks_per_s
        self._latencies(f"ack, {what}", one.load.latencies_s)

    def _latencies(self, what: str, latencies_s: list[float]) -> None:
        summary = summarize(latencies_s)
        self._report.figures[f"{what}, p50 ms"] = summary.p50_ms
        self._report.figures[f"{what}, p99 ms"] = summary.p99_ms

    def _memory(self, when: str) -> None:
        held = memory(self._system.processes(), self._system.role)
        self._report.memory_mib[when] = {role: bytes_ / _MEBIBYTE for role, bytes_ in sorted(held.items())}
        self._report.figures[f"memory {when}, MiB"] = sum(held.values()) / _MEBIBYTE

    def _note(self, part: str, one: Measurement) -> None:
        self._report.cpu_ms[part] = one.cpu_ms
        self._report.tools_ms[part] = one.tools_ms
        self._report.figures[f"CPU of others during {part}, s"] = one.others_s
