"""How a process ended, in words."""

import signal
from contextlib import suppress


def how_it_ended(code: int) -> str:
    """From a return code as ``subprocess`` gives it."""
    if code < 0:
        with suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
    return f"ended with status {code}"
