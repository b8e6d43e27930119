"""HAProxy's configuration as Ray writes it, with what Ray has no setting for.

- The head of a request has to arrive within a time, or whoever opens connections and dawdles holds all there are.
- Figures are for this machine alone, where Ray would show them on every address.

Run in HAProxy's place: Ray is told that ``haproxy.sh`` is HAProxy, and the environment names the real one. Standard
library only.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

# Meta's and everybody's clients send a head in one piece.
_HEAD_LIMIT_S = 10
PROGRAM = "HAPROXY_PROGRAM"
PYTHON = "HAPROXY_PYTHON"


class UnknownConfigurationError(Exception):
    """Ray writes its configuration otherwise than we know it."""

    def __init__(self, wanted: str) -> None:
        super().__init__(wanted)
        self.wanted = wanted

    def __str__(self) -> str:
        return f"Ray's configuration of HAProxy has changed: nothing in it is like {self.wanted!r}"


def guarded(config: str, *, stats_port: int, metrics_port: int) -> str:
    """Ray's configuration with our additions. Applied to its own result it changes nothing.

    Raises:
        UnknownConfigurationError: a line is missing; better no HAProxy than an open one.
    """
    limit = f"timeout http-request {_HEAD_LIMIT_S}s"
    if limit not in config:
        config = _replaced(config, r"^( +)(timeout client \S+)$", rf"\1\2\n\1{limit}")
    for port in (stats_port, metrics_port):
        config = _replaced(config, rf"^( +)bind (?:\*|127\.0\.0\.1)?:{port}$", rf"\1bind 127.0.0.1:{port}")
    return config


def guard_file(path: Path, environment: Mapping[str, str]) -> None:
    """The same for a file."""
    ports = {
        "stats_port": int(environment["RAY_SERVE_HAPROXY_STATS_PORT"]),
        "metrics_port": int(environment["RAY_SERVE_HAPROXY_METRICS_PORT"]),
    }
    path.write_text(guarded(path.read_text(encoding="utf-8"), **ports), encoding="utf-8")


def _replaced(config: str, pattern: str, by: str) -> str:
    config, count = re.subn(pattern, by, config, count=1, flags=re.MULTILINE)
    if not count:
        raise UnknownConfigurationError(pattern)
    return config


def main() -> None:
    """Guard the file after ``-f``, and become HAProxy."""
    arguments = sys.argv[1:]
    if "-f" in arguments:
        guard_file(Path(arguments[arguments.index("-f") + 1]), os.environ)
    program = os.environ[PROGRAM]
    os.execv(program, [program, *arguments])  # noqa: S606 - becoming HAProxy is what this is for


if __name__ == "__main__":
    main()
