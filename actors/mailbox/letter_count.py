"""Counts the dead letters of an actor's partitions, after they are owned and now and then. Nothing waits for it."""

import asyncio
from collections.abc import Collection
from typing import Protocol

from actors.mailbox.errors import MailboxError
from telemetry.log import get_logger

_LOOK_S, _AGAIN_S = 0.5, 60.0
_log = get_logger("mailbox")


class Counted(Protocol):
    """A partition, as far as its dead letters are counted."""

    @property
    def count_wanted(self) -> bool:
        """Whether it is owned and they are to be counted."""

    async def count(self) -> None:
        """Count them; raises ``MailboxError`` where that takes too long."""


class LetterCount:
    """Counts one partition after the other, for a count may read much, and each has a connection of its own for it.

    One that could not be counted in time is tried again after a while.

    Args:
        partitions: of one actor.
    """

    def __init__(self, partitions: Collection[Counted]) -> None:
        self._partitions = partitions

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            well = await self.once()
            await asyncio.sleep(_LOOK_S if well else _AGAIN_S)

    async def once(self) -> bool:
        """Count those that want it; say whether all of them could be."""
        well = True
        for partition in self._partitions:
            if partition.count_wanted:
                try:
                    await partition.count()
                except MailboxError as error:
                    well = False
                    _log.info("dead_letters_not_counted", error=str(error))
                except Exception:  # noqa: BLE001 - whatever it was, the others are to be counted
                    well = False
                    _log.exception("mailbox_count_raised")
        return well
