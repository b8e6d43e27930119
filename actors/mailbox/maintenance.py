"""Keeps the journal's day partitions: made before they are needed, dropped a week after."""

import asyncio
import random
from collections.abc import Sequence

from actors.mailbox.errors import MailboxError
from actors.mailbox.journal import Journal
from telemetry.log import get_logger

DAYS_AHEAD, DAYS_KEPT = 3, 7
_EVERY_S, _AGAIN_S, _FIRST_S = 3_600.0, 60.0, 30.0
_log = get_logger("mailbox")


class Maintenance:
    """Looks after the databases of some journals, one after the other, for a locked parent table stops its writers.

    Args:
        journals: one for each database.
    """

    def __init__(self, journals: Sequence[Journal]) -> None:
        self._journals = journals

    async def run(self) -> None:
        """Every hour, until cancelled. The set-up has made the first days' partitions, so there is no hurry."""
        await asyncio.sleep(_FIRST_S * random.uniform(0.5, 1.5))  # noqa: S311 - spreads the work, guards nothing
        while True:
            well = await self.once()
            await asyncio.sleep(_EVERY_S if well else _AGAIN_S)

    async def once(self) -> bool:
        """Do what is to be done now; say whether all of it was."""
        well = True
        for journal in self._journals:
            try:
                made, dropped = await journal.maintain(DAYS_AHEAD, DAYS_KEPT)
            except MailboxError as error:
                well = False
                _log.warning("journal_maintenance_failed", error=str(error))
                continue
            except Exception:  # noqa: BLE001 - whatever it was, the other databases are to be looked after
                well = False
                _log.exception("journal_maintenance_raised")
                continue
            if made or dropped:
                _log.info("journal_maintained", made=made, dropped=dropped)
        return well
