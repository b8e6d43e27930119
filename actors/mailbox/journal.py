"""The port to a partition's journal: what is asked of it, and the records that go there and come back."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from actors.mailbox.message import Message
from actors.mailbox.retry import Cause
from actors.mailbox.selection import Peeked, Selection, Tally, Which

# Of what ends, by when on the age clock, and by seq.
Place = tuple[float, int]
# Of the bodies of one reading. The last row may go beyond it, and only that.
READ_BYTES = 8_000_000


class Append(NamedTuple):
    """A message for the queue.

    Attributes:
        seq: given by the owner where it is the only writer; None lets the database give one.
        clock_s: the partition's age clock now.
    """

    message: Message
    seq: int | None
    clock_s: float


class Settlement(NamedTuple):
    """The end of a message; ``day`` is that of its publication."""

    seq: int
    day: int
    cause: Cause
    reason: str
    deliveries: int


class Retry(NamedTuple):
    """A message that will be tried again; ``not_before`` in Unix seconds."""

    seq: int
    retries: int
    lost: int
    not_before: float
    deferred_s: float
    reason: str


class Batch(NamedTuple):
    """What one commit writes: all of it or nothing. Dead letters go to the dead-letter queue, letters end there."""

    appends: Sequence[Append] = ()
    dead_letters: Sequence[Message] = ()
    settlements: Sequence[Settlement] = ()
    retries: Sequence[Retry] = ()
    letters: Sequence[Settlement] = ()


class Written(NamedTuple):
    """What a commit wrote: message id and seq of what was not there before, and how many dead letters."""

    rows: Sequence[tuple[str, int]]
    dead_letters: int


class Lease(NamedTuple):
    """Ownership of a partition, and where its last owner left it.

    Attributes:
        epoch: fences every write.
        continued: nobody else owned it since the epoch that was named, so what is in memory still holds.
        low_water: below it everything is settled, but for late transactional rows.
        swept_to: transactional rows of transactions before it have been seen.
        clock_s: the age clock.
        paused: whether an operator has stopped the deliveries.
        era: of the server, see ``Tick``.
    """

    epoch: int
    continued: bool
    low_water: int
    swept_to: str
    clock_s: float
    paused: bool = False
    era: int = 0


class Progress(NamedTuple):
    """How far the owner is, kept with its lease for the next one. Fields as in ``Lease``.

    ``swept_to`` is kept only where the server's era is still that in which it was seen.
    """

    low_water: int
    swept_to: str
    clock_s: float
    era: int = 0


class Look(NamedTuple):
    """What the regular look at the journal is to do.

    Attributes:
        lease_s: for how long the lease is renewed; None leaves it as it is.
        sweep_below: transactional rows below this seq are listed; 0 for none.
        seen: snapshot of the ``Tick`` whose rows were all taken in; what it saw is not listed. Empty where only
            ``Progress.swept_to`` is known.
        since: a snapshot of ``Count`` or ``Tick``; what appeared after it is counted. Empty for none.
    """

    lease_s: float | None
    sweep_below: int
    seen: str = ""
    since: str = ""


class Tick(NamedTuple):
    """What the regular look at the journal found.

    Attributes:
        held: whether the epoch is still the partition's.
        swept_to: for the next sweep.
        seqs: transactional rows that had not been seen.
        snapshot: which transactions it has seen, as PostgreSQL writes it.
        appeared: transactional rows by tenant that the snapshot given had not seen, settled ones included.
        era: another number wherever the server may have crashed, or is another one.
    """

    held: bool
    swept_to: str
    seqs: Sequence[int]
    snapshot: str = "0:0:"
    appeared: Mapping[str, int] = {}
    era: int = 0


def seen_before(swept_to: str) -> str:
    """The snapshot that has seen all transactions before one, and no other; PostgreSQL knows none before the first."""
    first = max(1, int(swept_to))
    return f"{first}:{first}:"


class Row(NamedTuple):
    """A waiting message as it was read.

    Attributes:
        intact: False if its checksum does not fit, or its day is not that of its message.
        day: under which it stands, and its settlement is to stand.
        tried: whether the journal knows of tries, under this owner or where it waited before.
    """

    seq: int
    message: Message
    intact: bool
    clock_s: float | None
    retries: int
    lost: int
    not_before: float
    deferred_s: float
    day: int
    tried: bool = False


class Walk(NamedTuple):
    """Which of the messages with a time to live of their own are read, by when that ends.

    Attributes:
        from_seq: what waits below it is not read.
        after: where the walk begins; time that does not age a message is not considered.
        until: the last reading of the age clock that counts.
        limit: messages that are walked, whether or not they wait; what it takes depends on nothing else.
    """

    from_seq: int
    after: Place
    until: float
    limit: int


def may_be_more(rows: Sequence[Row], limit: int) -> bool:
    """Whether a reading ended because it was full, by number or by bytes."""
    return len(rows) >= limit or sum(len(row.message.body) for row in rows) >= READ_BYTES


class Count(NamedTuple):
    """What waits in a partition by tenant, as the snapshot saw it."""

    tenants: Mapping[str, int]
    snapshot: str


class Counted(NamedTuple):
    """What is to be counted.

    Attributes:
        low_water: below it everything is settled, but for late transactional rows.
        swept_to: rows of transactions from there on may be late.
        settling: these count as waiting, whether or not they are settled already.
    """

    low_water: int
    swept_to: str
    settling: Sequence[int]


class Counting(Protocol):
    """A count under way, of the journal as it was when it began."""

    snapshot: str

    async def result(self) -> Count:
        """The count. To be called once.

        Raises:
            JournalUnavailableError: it took too long.
        """

    def abandon(self) -> None:
        """Give it up, if it is not over; whoever asked for the result may never have come to that."""


class Journal(Protocol):
    """The journal of one partition.

    Every method raises ``JournalUnavailableError`` where it cannot be reached in time; of a write it is then not
    known whether it is there, until ``take_over`` has returned: it waits for what is under way, and what comes later
    is fenced. What reads rows ends with the one that fills ``READ_BYTES``, see ``may_be_more``.
    """

    async def take_over(self, owner: str, lease_s: float, epoch: int) -> Lease | None:
        """Become the owner, if the lease has lapsed, this one ``succeeds`` its holder, or the epoch is still as named.

        Args:
            owner: as ``incarnation`` names it.
            lease_s: for how long.
            epoch: under which the caller owned it last; -1 for never.
        """

    async def release(self, epoch: int, progress: Progress) -> None:
        """Hand over: the lease lapses now."""

    async def write(self, epoch: int, batch: Batch) -> Written:
        """Write a batch in one commit.

        Raises:
            FencedError: the epoch is over; nothing was written.
            JournalRefusedError: something in the batch cannot be written, now or later; nothing was written.
        """

    async def rehearse(self, epoch: int) -> None:
        """Write what takes room, as ``write`` does, and take it back; raises as ``write`` where that would fail.

        Small statements succeed on a full disk, for there is room in pages that are there already.
        """

    async def tick(self, epoch: int, progress: Progress, look: Look) -> Tick:
        """Renew the lease, unless it is not to be, and list the transactional rows that had not been seen.

        Args:
            epoch: of the owner.
            progress: to be kept with the lease, where that is renewed. From its ``swept_to`` on rows are listed where
                no snapshot is known.
            look: what is wanted of it.
        """

    async def load(self, from_seq: int, limit: int) -> list[Row]:
        """What waits from a seq on, in order."""

    async def load_seqs(self, seqs: Sequence[int]) -> list[Row]:
        """Those of the seqs that wait, in order."""

    async def load_expired(self, walk: Walk) -> tuple[list[Row], Place | None]:
        """What waits and has a time to live of its own, by when that ends, and where to go on from.

        Returns:
            The rows, and the place at which the walk ended before ``until``; None if it did not.
        """

    async def load_ids(self, ids: Sequence[str]) -> list[Row]:
        """Those of the message ids that wait, in order."""

    async def highest(self) -> int:
        """The highest seq that is there, 0 for none. Quick, however much there is."""

    async def count(self, counted: Counted) -> Count:
        """What waits by tenant, if it can be counted at once; raises where that takes long."""

    async def begin_count(self, counted: Counted) -> Counting:
        """The same beside everything else, however long it takes, of the journal as it is when this returns."""

    async def dead_letters(self) -> int:
        """How many dead letters there are. Beside everything else; slow where there is much."""

    async def pause(self, epoch: int, *, paused: bool) -> None:
        """Note whether messages are delivered, for this owner and those after it.

        Raises:
            FencedError: the epoch is over.
        """

    async def peek(
        self, which: Which, wanted: Selection, *, after_seq: int, limit: int, body_bytes: int
    ) -> list[Peeked]:
        """Of what waits, or of the dead letters, those that are selected, in order."""

    async def tally(self, which: Which, wanted: Selection) -> list[Tally]:
        """Counts of those that are selected, the most first. Beside everything else; slow where there is much."""

    async def load_letters(self, seqs: Sequence[int]) -> list[Row]:
        """Those of the dead letters that are not settled, in order."""

    async def maintain(self, days_ahead: int, days_kept: int) -> tuple[int, int]:
        """Make coming day partitions and drop old ones of the whole database; how many of each."""

    async def aclose(self) -> None:
        """Close the connections."""
