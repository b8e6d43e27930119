"""Waiting for a webhook by Meta's handshake, which every contestant answers."""

import subprocess
import time
import urllib.request
from pathlib import Path

from benchmarks.merchants import VERIFY_TOKEN
from cluster.process import last_lines, wait_until

_QUERY = f"?hub.mode=subscribe&hub.challenge=1&hub.verify_token={VERIFY_TOKEN}"


def wait_for_handshake(url: str, program: subprocess.Popen[bytes], log_path: Path, *, limit_s: float) -> None:
    """Wait until the webhook at ``url`` answers 200. Blocks.

    Raises:
        RuntimeError: the program ended, or the limit passed; with the last words of its log.
    """
    deadline = time.monotonic() + limit_s
    while not _answers(url):
        if program.poll() is not None or not wait_until(deadline, 0.1):
            raise RuntimeError(f"{url} did not come up: {last_lines(log_path, 15)}; its log: {log_path}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url + _QUERY, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
