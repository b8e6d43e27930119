"""Everything that this process has started, directly or not, and how nothing of it is left behind."""

import contextlib
import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path

import psutil

from cluster.undertaker import MARK, kill_marked

_PR_SET_CHILD_SUBREAPER = 36
_UNDERTAKER = Path(__file__).with_name("undertaker.py")


def adopt_orphans() -> None:
    """Have processes whose parent ends become our children, instead of everybody's. Linux only."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def bury_orphans(known: Collection[int], seen: Collection[int] = ()) -> set[int]:
    """Collect adopted children that have ended.

    Args:
        known: those that are collected by who started them.
        seen: what the last call returned. Only those are collected: who started a program for a moment collects it
            himself, and would not learn how it ended if we did.

    Returns:
        the children that have ended and were not collected.
    """
    ended: set[int] = set()
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error, ChildProcessError):
            if child.pid in known or child.status() != psutil.STATUS_ZOMBIE:
                continue
            if child.pid in seen:
                os.waitpid(child.pid, os.WNOHANG)
            else:
                ended.add(child.pid)
    return ended


def kill_descendants(*, spare: Collection[int] = (), limit_s: float = 3.0) -> list[str]:
    """Kill all that is left below this process, but for the children to spare and what is below them.

    Returns:
        the names of those that still ran.
    """
    deadline = time.monotonic() + limit_s
    names: list[str] = []
    while (left := _below(frozenset(spare))) and time.monotonic() < deadline:
        for one in left:
            with contextlib.suppress(psutil.Error):
                if one.status() != psutil.STATUS_ZOMBIE:
                    names.append(one.name())
                    one.kill()
        for one in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(one.pid, os.WNOHANG)
        time.sleep(0.02)
    return names


def _below(spare: frozenset[int]) -> list[psutil.Process]:
    # One look at the system's processes; asking each child for its own would be one look for each.
    found = psutil.Process().children(recursive=True)
    spared = set(spare)
    left: list[psutil.Process] = []
    for one in found:  # parents come before their children
        with contextlib.suppress(psutil.Error):
            if one.pid in spared or one.ppid() in spared:
                spared.add(one.pid)
            else:
                left.append(one)
    return left


def marked_environment(instance_id: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for what we start: the given one, with the instance's mark.

    Without PYTHONDONTWRITEBYTECODE, which would have each of some thirty Python processes compile all anew.
    """
    kept = {name: value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"}
    # Ray writes its processes' titles over their environment otherwise, and with it over the mark.
    return {**kept, MARK: instance_id, "SPT_NOENV": "1"}


def kill_earlier(instance_id: str) -> int:
    """Kill what an instance of this id left behind that died without its supervisor. Who calls owns the data folder."""
    return kill_marked(instance_id, spare=frozenset({os.getpid()}))


class Undertaker:
    """A process that outlives this one, to end what this one leaves when it is killed."""

    def __init__(self, instance_id: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_UNDERTAKER), instance_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it keeps watch."""
        return self._process.poll() is None

    def dismiss(self) -> None:
        """Tell it that all is in order; it ends."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._process.communicate(b"done\n", timeout=2)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
