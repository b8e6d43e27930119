"""Runs the load generator from the side of the one who measures."""

import subprocess
import sys
from collections.abc import Callable

import orjson

from benchmarks.load.job import Job, LoadResult

_START_LIMIT_S = 120.0


class LoadFailedError(Exception):
    """The load generator ended without a result. Its own words stand above, on standard error."""


def run_load(job: Job, on_ready: Callable[[], None], *, limit_s: float) -> LoadResult:
    """Run one job in a process of its own. Blocks.

    Args:
        job: what to send.
        on_ready: called when everything is built and nothing is sent yet.
        limit_s: after so long the generator is killed.

    Raises:
        LoadFailedError: it ended without a result or took too long.
    """
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(job.encode() + b"\n")
        process.stdin.flush()
        if process.stdout.readline() != b"ready\n":
            raise LoadFailedError(f"exit status {process.wait(_START_LIMIT_S)} before the first message")
        on_ready()
        answer, _ = process.communicate(b"go\n", timeout=limit_s)
    except subprocess.TimeoutExpired:
        raise LoadFailedError(f"no result after {limit_s:g} s") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)
    if process.returncode != 0:
        raise LoadFailedError(f"exit status {process.returncode}")
    return LoadResult(**orjson.loads(answer))
