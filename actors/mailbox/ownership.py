"""Where an owner of a partition stands, and how it goes on. The journal's epoch decides; it may have been overtaken."""

import asyncio
import random
from enum import StrEnum
from typing import NamedTuple, Protocol

from actors.mailbox.errors import FencedError, JournalUnavailableError, MailboxError
from actors.mailbox.flight import WriterLimits
from kernel.growth import growing_s
from telemetry.log import get_logger

_log = get_logger("mailbox")


class State(StrEnum):
    """What a partition's would-be owner is about."""

    STARTING = "starting"  # has not owned it yet
    OWNING = "owning"
    RECOVERING = "recovering"  # owned it, and the journal could not be reached or a write is in doubt
    PASSIVE = "passive"  # somebody else owns it
    STOPPED = "stopped"  # has handed it over


class OwnershipPolicy(NamedTuple):
    """How ownership is kept, in seconds.

    Attributes:
        lease_s: how long an owner counts as alive without a renewal.
        renew_s: between two renewals.
        page_s: how long reading a page may take; with ``tick_s`` well below ``lease_s``.
        tick_s: between two looks at the journal, which renew and sweep.
        passive_s: between two attempts while somebody else owns the partition.
        retry_first_s: before the first new attempt after a failure; doubles up to ``retry_longest_s``.
        retry_longest_s: most between two attempts.
        count_again_s: after what waits could not be counted in time.
    """

    lease_s: float = 5.0
    renew_s: float = 1.5
    page_s: float = 2.0
    tick_s: float = 1.6
    passive_s: float = 1.0
    retry_first_s: float = 0.05
    retry_longest_s: float = 1.0
    count_again_s: float = 30.0


class PartitionPolicy(NamedTuple):
    """How a partition is owned and written."""

    ownership: OwnershipPolicy = OwnershipPolicy()
    writer: WriterLimits = WriterLimits()


class OwnerLife(Protocol):
    """What a would-be owner does in its states."""

    async def acquire(self) -> bool:
        """Become the owner or say that somebody else is."""

    async def hold(self) -> None:
        """Own; ends by raising what came between, or to acquire anew."""

    def suspend(self, error: MailboxError) -> None:
        """The journal is away or a write in doubt: hold everything, keep what is known."""

    def give_up(self, error: MailboxError) -> None:
        """Somebody else owns it: forget everything."""


async def keep_owning(life: OwnerLife, policy: OwnershipPolicy, queue: str, partition: int) -> None:
    """Own a partition as far as others let it, until cancelled. Nothing that goes wrong ends it.

    After an error that nobody foresaw all that is in memory is forgotten, for it may have come amid a change of it; the
    journal knows.
    """
    failures = 0
    while True:
        try:
            if await life.acquire():
                failures = 0
                await life.hold()
            else:
                await asyncio.sleep(policy.passive_s)
            continue
        except FencedError as error:
            _log.warning("mailbox_fenced", queue=queue, partition=partition, epoch=error.epoch)
            life.give_up(error)
        except MailboxError as error:
            life.suspend(error)
            if failures == 0:
                _log.warning("journal_lost", queue=queue, partition=partition, error=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it was, the partition is to go on
            _log.exception("mailbox_partition_raised", queue=queue, partition=partition)
            life.give_up(JournalUnavailableError(queue, f"it is read anew after {type(error).__name__}"))
        failures += 1
        delay_s = growing_s(failures, policy.retry_first_s, policy.retry_longest_s)
        await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads attempts, guards nothing
