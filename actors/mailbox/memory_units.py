"""Units of work in the journal's double: rows that appear with their transaction, not in the order of their seqs."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from actors.mailbox.message import Message


class UnitRow(NamedTuple):
    """A row that a unit of work wrote."""

    txid: int
    message: Message


class Transactions:
    """Which transactions there were and are, and the rows that they wrote.

    Attributes:
        rows: what is committed, by seq.
        era: how often the server was started.
    """

    def __init__(self) -> None:
        self._next = 1
        self._running: set[int] = set()
        self._last_seq = 0
        self.rows: dict[int, UnitRow] = {}
        self.era = 1

    def crash(self, forgotten: int) -> None:
        """The server is started anew: what ran is over, and the last ids are given again."""
        self._running.clear()
        self._next -= forgotten
        self.era += 1

    def begin(self) -> "MemoryUnit":
        """A unit of work whose transaction runs until it commits."""
        txid, self._next = self._next, self._next + 1
        self._running.add(txid)
        return MemoryUnit(self, txid)

    def commit(self, txid: int, written: Mapping[int, Message]) -> None:
        """From now on its rows are there."""
        self._running.discard(txid)
        self.rows.update((seq, UnitRow(txid, message)) for seq, message in written.items())

    def next_seq(self, highest: int = 0) -> int:
        """The next seq of the sequence, above one that was given without it."""
        self._last_seq = max(self._last_seq, highest) + 1
        return self._last_seq

    @property
    def lowest_running(self) -> str:
        """What older transactions wrote is there."""
        return str(min(self._running, default=self._next))

    @property
    def snapshot(self) -> str:
        """Which transactions are seen now, as PostgreSQL writes it: the lowest that runs, the next, all that run."""
        return f"{self.lowest_running}:{self._next}:{','.join(map(str, sorted(self._running)))}"

    def unseen(self, snapshot: str) -> list[int]:
        """The seqs of rows that a snapshot had not seen, in order."""
        _, following, running = snapshot.split(":")
        numbers = running.split(",")
        return sorted(seq for seq, row in self.rows.items() if row.txid >= int(following) or str(row.txid) in numbers)

    def appeared(self, snapshot: str) -> dict[str, int]:
        """Rows by tenant that a snapshot had not seen; none for an empty one."""
        unseen = self.unseen(snapshot) if snapshot else []
        return dict(Counter(self.rows[seq].message.tenant for seq in unseen))


class MemoryUnit:
    """One unit of work's transaction."""

    def __init__(self, transactions: Transactions, txid: int) -> None:
        self._transactions, self._txid = transactions, txid
        self._written: dict[int, Message] = {}

    def publish(self, message: Message) -> int:
        """Write a message; it has its seq now, and appears with the commit."""
        seq = self._transactions.next_seq()
        self._written[seq] = message
        return seq

    def commit(self) -> None:
        """Let what was written appear."""
        self._transactions.commit(self._txid, self._written)
