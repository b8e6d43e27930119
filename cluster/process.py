"""Starting programs that die with us, and ending them within a limit."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LAUNCHER = Path(__file__).with_name("launcher.py")
_LOG_KEPT_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class RunAs:
    """Which user a program runs as, where it must not be root.

    Attributes:
        reach: the program passes through folders that this user may not enter.
    """

    uid: int
    gid: int
    reach: bool


def launched(argv: Sequence[str], *, death_signal: int | None, run_as: RunAs | None = None) -> list[str]:
    """The command line that starts a program through the launcher, as a child of this process."""
    order = {
        "argv": list(argv),
        "death_signal": death_signal,
        "parent": os.getpid(),
        "uid": run_as.uid if run_as else None,
        "gid": run_as.gid if run_as else None,
        "reach": run_as.reach if run_as else False,
    }
    return [sys.executable, "-I", "-S", str(_LAUNCHER), json.dumps(order)]


def spawn(
    argv: Sequence[str],
    *,
    log_path: Path,
    death_signal: int = signal.SIGTERM,
    run_as: RunAs | None = None,
    environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, its output appended to a log file.

    Call it from the main thread: the kernel counts the end of the starting thread as the parent's death.

    It gets ``death_signal`` when this process ends without stopping it. An ``environment`` of None is our own.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    if log_path.exists() and log_path.stat().st_size > _LOG_KEPT_BYTES:
        log_path.replace(log_path.with_suffix(f"{log_path.suffix}.1"))
    with log_path.open("ab") as log:
        return subprocess.Popen(
            launched(argv, death_signal=death_signal, run_as=run_as),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            pass_fds=pass_fds,
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes], signal_number: int, *, timeout_s: float) -> bool:
    """Ask a program to end, and kill it when it has not within the limit.

    Returns:
        whether it ended by itself.
    """
    if process.poll() is not None:
        return True
    process.send_signal(signal_number)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(60)
        return False
    return True


def last_lines(path: Path, count: int = 5, *, since: int = 0) -> str:
    """The last lines of a log, for an error message; empty where there is none."""
    try:
        with path.open("rb") as log:
            log.seek(max(since, path.stat().st_size - 16_384))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join([line for line in lines if line.strip()][-count:])


def wait_until(deadline: float, pause_s: float = 0.02) -> bool:
    """Pause a little; false when the deadline, by the monotonic clock, has passed."""
    if time.monotonic() >= deadline:
        return False
    time.sleep(pause_s)
    return True
