"""The Graph API stand-in as a process, and what it has been given so far."""

import http.client
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import psutil

from benchmarks.ledger import Reply
from cluster.ports import free_port
from cluster.process import last_lines, spawn, stop, wait_until

_START_LIMIT_S = 30.0
_REQUEST_LIMIT_S = 30.0


class Outbox:
    """Starts the stand-in and reads it. One for each system, so that replies never mix."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "graph-standin.log"
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the stand-in and wait until it answers. Blocks."""
        argv = [sys.executable, "-m", "benchmarks.graph_standin", "--port", str(self._port)]
        self._process = spawn(argv, log_path=self._log)
        deadline = time.monotonic() + _START_LIMIT_S
        while True:
            try:
                self.count()
            except OSError:
                if not wait_until(deadline, 0.05):
                    raise RuntimeError(f"the Graph API stand-in did not start: {last_lines(self._log)}") from None
            else:
                return

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process, 15, timeout_s=5)

    def cpu_s(self) -> float:
        """CPU that the stand-in has used since it started."""
        assert self._process is not None
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def count(self) -> int:
        """How many messages it has been given."""
        return int(self._get("/count")["count"])

    def replies(self, after: int = 0) -> list[Reply]:
        """What it has been given, in order of arrival, without the first ``after``."""
        return [
            Reply(one["phone_number_id"], one["to"], one["monotonic_s"])
            for one in self._get(f"/dump?after={after}")["messages"]
        ]

    def wait_for(self, count: int, *, stall_s: float) -> bool:
        """Wait until so many messages have come, as long as some do.

        Returns:
            False when none has come for ``stall_s``.
        """
        seen, moved_at = self.count(), time.monotonic()
        while seen < count:
            time.sleep(0.05)
            now = self.count()
            if now > seen:
                seen, moved_at = now, time.monotonic()
            elif time.monotonic() - moved_at > stall_s:
                return False
        return True

    def _get(self, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_REQUEST_LIMIT_S)
        try:
            connection.request("GET", path)
            answer: dict[str, Any] = orjson.loads(connection.getresponse().read())
        finally:
            connection.close()
        return answer
