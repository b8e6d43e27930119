"""CPU and memory of a system's processes, by the role that each plays. Pure but for ``snapshot`` and ``memory``."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import psutil

Role = Callable[[str], str]


class ProcessCpu(NamedTuple):
    """CPU that one process has used since it started.

    Attributes:
        own_s: user and system time of its own.
        reaped_s: the same of those of its children that have ended and been waited for.
    """

    pid: int
    started_at: float
    parent: int
    role: str
    own_s: float
    reaped_s: float


Snapshot = Mapping[tuple[int, float], ProcessCpu]


def snapshot(processes: Iterable[psutil.Process], role: Role) -> Snapshot:
    """Read the CPU times of processes. Those that end meanwhile are left out."""
    taken: dict[tuple[int, float], ProcessCpu] = {}
    for process in processes:
        try:
            with process.oneshot():
                times = process.cpu_times()
                one = ProcessCpu(
                    pid=process.pid,
                    started_at=process.create_time(),
                    parent=process.ppid(),
                    role=role(" ".join(process.cmdline()) or process.name()),
                    own_s=times.user + times.system,
                    reaped_s=times.children_user + times.children_system,
                )
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        taken[one.pid, one.started_at] = one
    return taken


def consumed(before: Snapshot, after: Snapshot) -> dict[str, float]:
    """CPU seconds used between two snapshots, by role.

    What a process that ended in between had used comes through its parent, which has reaped it, and is charged to
    the parent's role. What ended without a parent in the set is lost.
    """
    used: defaultdict[str, float] = defaultdict(float)
    for key, process in after.items():
        earlier = before.get(key)
        used[process.role] += process.own_s - (earlier.own_s if earlier else 0.0)
        used[process.role] += process.reaped_s - (earlier.reaped_s if earlier else 0.0)
    roles_by_pid = {process.pid: process.role for process in after.values()}
    for key, process in before.items():
        if key not in after and process.parent in roles_by_pid:
            used[roles_by_pid[process.parent]] -= process.own_s + process.reaped_s
    return dict(used)


def per_message_ms(used_s: Mapping[str, float], messages: int) -> dict[str, float]:
    """Milliseconds of CPU for each message, by role, and their sum under ``total``."""
    spread = {role: seconds * 1000 / messages for role, seconds in sorted(used_s.items())}
    return {**spread, "total": sum(spread.values())}


def memory(processes: Iterable[psutil.Process], role: Role) -> dict[str, int]:
    """Proportional set size in bytes by role, so that pages that processes share are counted once.

    Raises:
        PermissionError: a process belongs to somebody else and may not be read.
    """
    held: defaultdict[str, int] = defaultdict(int)
    for process in processes:
        try:
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
            held[role(" ".join(process.cmdline()) or process.name())] += pss_bytes(rollup)
        except (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):
            continue
    return dict(held)


def pss_bytes(smaps_rollup: str) -> int:
    """The ``Pss`` line of a ``smaps_rollup``, which the kernel gives in units of 1,024 bytes."""
    for line in smaps_rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
