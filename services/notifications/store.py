"""The notifier's units of work, each for one tenant's messages of a batch. Running one again changes nothing more."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from actors.shards.unit import Transaction, UnitCall, UnitFunction
from kernel.sql import load_queries
from services.notifications.doubt import Recorded
from services.outgoing.wamid_locks import wamid_locks

LOOK_UP = "notifications.look_up"
MARK = "notifications.mark"
RECORD = "notifications.record"

_QUERIES = load_queries(Path(__file__).with_name("queries.sql"))


class MarkArguments(NamedTuple):
    """Messages that are about to be sent, or are in doubt from now on; ``now`` in Unix seconds.

    Attributes:
        resend: whether they are sent for the second time, which is counted.
    """

    ids: Sequence[str]
    now: float
    resend: bool


class RecordArguments(NamedTuple):
    """What became of a batch of sends.

    Attributes:
        accepted: ids and the wamids that Meta gave; the unit holds the locks of these, see ``record_call``.
        failed: ids, reasons of ours, and Meta's error codes. With the empty reason Meta has ruled the message out; any
            other is of a dead letter, which may be sent later.
        unmark: ids of messages that were provably not sent and had been marked on the shard for it.
        now: Unix seconds.
    """

    accepted: Sequence[tuple[str, str]]
    failed: Sequence[tuple[str, str, int | None]]
    unmark: Sequence[str]
    now: float

    @property
    def messages(self) -> int:
        """How many messages it is about, at most."""
        return len(self.accepted) + len(self.failed) + len(self.unmark)

    @classmethod
    def together(cls, many: Sequence["RecordArguments"]) -> "RecordArguments":
        """What several say, in their order; at least one."""
        return cls(
            accepted=[one for each in many for one in each.accepted],
            failed=[one for each in many for one in each.failed],
            unmark=[one for each in many for one in each.unmark],
            now=max(each.now for each in many),
        )


def record_call(shard: int, tenant_id: str, arguments: RecordArguments) -> UnitCall:
    """The call of ``record``, with the locks that it needs."""
    locks = wamid_locks(tenant_id, (wamid for _, wamid in arguments.accepted))
    return UnitCall(RECORD, shard, tenant_id, arguments, locks)


async def look_up(transaction: Transaction, ids: Sequence[str]) -> dict[str, Recorded]:
    """What is known of messages; those that are not there are missing."""
    rows = await transaction.fetch(_QUERIES["look_up"], list(ids))
    return {
        row["id"]: Recorded(
            row["rank"],
            row["wamid"],
            None if row["marked_at"] is None else row["marked_at"].timestamp(),
            row["resent"],
        )
        for row in rows
    }


async def mark(transaction: Transaction, arguments: MarkArguments) -> list[str]:
    """Write marks on the shard, while Redis is away and before a second send.

    Returns:
        The ids that are marked now, and by nobody else.
    """
    rows = await transaction.fetch(
        _QUERIES["mark"], list(arguments.ids), datetime.fromtimestamp(arguments.now, UTC), arguments.resend
    )
    return [row["id"] for row in rows]


async def record(transaction: Transaction, arguments: RecordArguments) -> None:
    """Record wamids, and what their statuses had told before; record failures; take marks back."""
    now = datetime.fromtimestamp(arguments.now, UTC)
    if arguments.accepted:
        ids, wamids = zip(*arguments.accepted, strict=True)
        await transaction.execute(_QUERIES["record_accepted"], list(ids), list(wamids), now)
    if arguments.failed:
        ids, reasons, codes = zip(*arguments.failed, strict=True)
        await transaction.execute(_QUERIES["record_failed"], list(ids), list(reasons), list(codes), now)
    if arguments.unmark:
        await transaction.execute(_QUERIES["unmark"], list(arguments.unmark))


UNITS: Mapping[str, UnitFunction] = MappingProxyType({LOOK_UP: look_up, MARK: mark, RECORD: record})
