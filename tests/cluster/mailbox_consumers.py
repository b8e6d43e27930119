"""Who consumes in the mailbox's cluster tests: it writes down what it handled, in a file that outlives it."""

import asyncio
import os
from pathlib import Path

from actors.mailbox.handle import MailboxHandle
from actors.mailbox.heartbeat import Heartbeat
from actors.mailbox.message import Delivery, Outcome, ack, reject, retry_after
from config.topology import Topology


def written(record: Path) -> list[str]:
    """The lines of a record that have been written to their end."""
    text = record.read_text() if record.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()


class RecordingConsumer:
    """Handles by the first word of the body.

    ``poison`` kills it, it raises at ``raise``, ``slow`` takes as many seconds as the next word says,
    the first time; ``reject`` and ``later`` are answered so.
    """

    def __init__(self, record: str, pause_s: float) -> None:
        self._record, self._pause_s = Path(record), pause_s
        self._mailboxes: MailboxHandle | None = None
        self._begun = 0

    async def consume(self, batch: list[Delivery]) -> list[Outcome]:
        if not batch:
            return []
        self._begun += 1
        await asyncio.sleep(self._pause_s)
        if self._mailboxes is None:
            await self._work(batch)
        else:
            async with Heartbeat(self._mailboxes, batch, lease_s=5.0):
                await self._work(batch)
        outcomes = [self._handle(delivery) for delivery in batch]
        with self._record.open("a") as record:
            for delivery, outcome in zip(batch, outcomes, strict=True):
                fields = (
                    delivery.message.id,
                    delivery.message.key,
                    outcome.kind,
                    int(delivery.redelivered),
                    len(batch),
                )
                record.write(" ".join(str(field) for field in fields) + "\n")
        return outcomes

    async def beat_with(self, topology: Topology) -> None:
        """Extend leases from now on."""
        self._mailboxes = MailboxHandle(topology)

    async def _work(self, batch: list[Delivery]) -> None:
        for delivery in batch:
            kind, *seconds = delivery.message.body.split()
            if kind == b"slow" and delivery.attempt == 1:
                await asyncio.sleep(float(seconds[0]))

    def _handle(self, delivery: Delivery) -> Outcome:
        kind = delivery.message.body.split()[0]
        if kind == b"poison":
            os._exit(1)
        if kind == b"raise":
            raise ValueError("as it asks")
        if kind == b"reject":
            return reject("as it asks")
        if kind == b"later" and delivery.attempt == 1:
            return retry_after(0.2, "as it asks")
        return ack()

    async def begun(self) -> int:
        """How many batches have come to this process."""
        return self._begun

    async def pid(self) -> int:
        return os.getpid()
