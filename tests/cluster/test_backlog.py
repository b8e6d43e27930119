"""A mailbox with much more waiting than it holds in memory; a million of it with `make chaos`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MESSAGES = int(os.environ.get("CHAOS_BACKLOG", "20000"))
_LIMIT_S = 900 + MESSAGES / 1000


@pytest.mark.timeout(_LIMIT_S + 10)
def test_a_backlog_keeps_memory_and_tables_bounded_and_is_drained_after_a_kill() -> None:
    seconds = "30" if MESSAGES > 500_000 else "2"

    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks", "backlog", "--messages", str(MESSAGES), "--seconds", seconds],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=_LIMIT_S, check=False,
    )  # fmt: skip

    sys.stdout.write(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr[-3000:]
