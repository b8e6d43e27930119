"""Ends an instance whose supervisor died without doing so. Standard library only; run by path, not imported.

It waits on a pipe that only the supervisor holds. A last word on it means that all is in order; its end without
one means that the supervisor is gone, and then every process that carries the instance's mark is killed.
"""

import os
import signal
import sys
import time
from pathlib import Path

# Part of the environment of everything that an instance starts, and inherited by what that starts.
MARK = "RUNS_FOR_SPAZA_INSTANCE"
_LAST_WORD = b"done\n"
_LIMIT_S = 15.0


def marked(instance_id: str) -> list[int]:
    """The processes that carry the mark of an instance, as far as the system lets us see."""
    mark = f"{MARK}={instance_id}".encode()
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def kill_marked(instance_id: str, *, spare: frozenset[int] = frozenset(), limit_s: float = _LIMIT_S) -> int:
    """Kill what carries the mark, until nothing is left or the limit has passed.

    Returns:
        how many processes were found.
    """
    deadline = time.monotonic() + limit_s
    seen: set[int] = set()
    while time.monotonic() < deadline:
        found = [pid for pid in marked(instance_id) if pid not in spare]
        if not found:
            break
        seen.update(found)
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        time.sleep(0.05)
    return len(seen)


def main() -> None:
    """Wait for the supervisor's end."""
    # Whoever ends the supervisor's session does not end this.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    said = b""
    while piece := os.read(0, 64):
        said += piece
    if not said.endswith(_LAST_WORD):
        kill_marked(sys.argv[1])


if __name__ == "__main__":
    main()
