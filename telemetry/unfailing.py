"""A logger that never raises into the code that logs: what is logged is worth less than what is being done."""

from threading import Lock
from typing import Any


class _Lost:
    """How many lines could not be written since the last that could."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lines = 0

    def add(self, lines: int) -> None:
        with self._lock:
            self._lines += lines

    def take(self) -> int:
        with self._lock:
            lines, self._lines = self._lines, 0
        return lines


def unfailing(logger_class: type[Any]) -> type[Any]:
    """A bound logger class of structlog's whose lines are lost where they cannot be written, on a full disk say.

    As with the standard library's ``logging.raiseExceptions = False``, but the next line that can be written is
    preceded by one that says how many were lost.
    """
    lost = _Lost()

    class UnfailingLogger(logger_class):  # type: ignore[misc]  # structlog makes it at run time
        def _proxy_to_logger(self, method_name: str, event: str | None = None, **fields: Any) -> None:
            missing = lost.take()
            try:
                if missing:
                    super()._proxy_to_logger("error", "log_lines_lost", lines=missing)
                    missing = 0
                super()._proxy_to_logger(method_name, event, **fields)
            except Exception:  # noqa: BLE001 - there is nobody left to tell but the next line
                lost.add(missing + 1)

    return UnfailingLogger
