"""Whether somebody of each application answers, for Serve's controller hears of an end when it looks for it next."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from telemetry.log import get_logger

# Returns when somebody has answered.
Ping = Callable[[], Awaitable[None]]
_log = get_logger("ops")


class Pings:
    """Asks all of them at once, and waits for none longer than a moment.

    Who has never answered is not missed: the way to him may be being made, and of the start his controller knows.

    Args:
        pings: by application.
        limit_s: for how long an answer is waited for.
    """

    def __init__(self, pings: Mapping[str, Ping], *, limit_s: float = 2.0) -> None:
        self._pings, self._limit_s = dict(pings), limit_s
        self._heard: set[str] = set()

    async def silent(self) -> list[str]:
        """The applications of which nobody answers, though somebody did."""
        answered = await asyncio.gather(*(self._answers(name) for name in self._pings))
        return [name for name, well in zip(self._pings, answered, strict=True) if not well and name in self._heard]

    async def _answers(self, name: str) -> bool:
        try:
            async with asyncio.timeout(self._limit_s):
                await self._pings[name]()
        except Exception as error:  # noqa: BLE001 - whatever Serve raises, nobody answers
            _log.info("application_does_not_answer", application=name, error=type(error).__name__)
            return False
        self._heard.add(name)
        return True
