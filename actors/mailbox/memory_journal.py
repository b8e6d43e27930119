"""The journal's double for tests: a database in memory that may be away, and that may lose an answer."""

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from actors.mailbox.errors import FencedError, JournalRefusedError, JournalUnavailableError
from actors.mailbox.incarnation import succeeds
from actors.mailbox.journal import (
    READ_BYTES,
    Append,
    Batch,
    Count,
    Counted,
    Counting,
    Lease,
    Look,
    Place,
    Progress,
    Retry,
    Row,
    Settlement,
    Tick,
    Walk,
    Written,
    seen_before,
)
from actors.mailbox.memory_units import MemoryUnit, Transactions
from actors.mailbox.message import Message
from actors.mailbox.redriven import renamed, stored_id
from actors.mailbox.rows import columns, published_day
from actors.mailbox.selection import Peeked, Selection, Tally, Which, death_of, matches

# PostgreSQL's time ends with the year 294276.
_LATEST_S = 9_224_318_016_000.0


class _Stored(NamedTuple):
    message: Message
    clock_s: float | None


class MemoryDatabase:
    """One partition's rows; what survives its owners.

    Attributes:
        away: every call fails.
        full: nothing can be appended or settled; all else goes on.
        lost_answers: so many writes are committed, but fail for who asked.
        lapsed: whether the lease counts as over.
    """

    def __init__(self) -> None:
        self.away = self.full = False
        self.lost_answers = 0
        self.lapsed = False
        self.epoch, self.owner = 0, ""
        self.progress = Progress(0, "0", 0.0)
        self.appended: dict[int, _Stored] = {}
        self.transactions = Transactions()
        self.settled: dict[int, Settlement] = {}
        self.retries: dict[int, Retry] = {}
        self.dead_letters: dict[tuple[str, int], Message] = {}
        self.letters_settled: dict[int, Settlement] = {}
        self.paused = False

    @property
    def rows(self) -> dict[int, _Stored]:
        """What was appended, and what units of work wrote and committed."""
        units = {seq: _Stored(row.message, None) for seq, row in self.transactions.rows.items()}
        return {**self.appended, **units}

    def unit(self) -> MemoryUnit:
        """Begin a unit of work, for a queue by shard."""
        return self.transactions.begin()

    def crash(self, forgotten: int) -> None:
        """Start anew: so many of the last transaction ids are given again, and nothing that is kept bears one."""
        self.transactions.crash(forgotten)
        swept_to = min(int(self.progress.swept_to), int(self.transactions.lowest_running))
        self.progress = self.progress._replace(swept_to=str(swept_to))

    def keep(self, progress: Progress) -> None:
        """Note how far an owner is."""
        holds = progress.era == self.transactions.era
        self.progress = progress if holds else progress._replace(swept_to=self.progress.swept_to)

    def waiting(self) -> list[Row]:
        """What has no settlement, in order."""
        rows = []
        for seq in sorted(self.rows.keys() - self.settled.keys()):
            message, clock_s = self.rows[seq]
            retry = self.retries.get(seq, Retry(seq, 0, 0, 0.0, 0.0, ""))
            known = (retry.retries, retry.lost, retry.not_before, retry.deferred_s)
            rows.append(Row(seq, message, True, clock_s, *known, published_day(message), tried=seq in self.retries))
        return rows

    def bury(self, letter: Message) -> None:
        """Add a dead letter, unless it is there; under another name where one of its name is settled."""
        names = list(self.dead_letters)
        while (name := (stored_id(letter), published_day(letter))) in self.dead_letters:
            if names.index(name) + 1 not in self.letters_settled:
                return
            letter = renamed(letter, self.dead_letters[name].headers)
        self.dead_letters[name] = letter

    def letters(self) -> list[Row]:
        """The dead letters that have no settlement, in order."""
        return [
            Row(seq, message, True, None, 0, 0, 0.0, 0.0, published_day(message))
            for seq, message in enumerate(self.dead_letters.values(), 1)
            if seq not in self.letters_settled
        ]


class _MemoryCounting:
    """Implements ``Counting``."""

    def __init__(self, count: Count) -> None:
        self._count, self.snapshot = count, count.snapshot

    async def result(self) -> Count:
        return self._count

    def abandon(self) -> None:
        return None


class InMemoryJournal:
    """Implements ``Journal``. Any number of them may work on one database, as owners do that dispute a partition."""

    def __init__(self, database: MemoryDatabase | None = None) -> None:
        self._database = MemoryDatabase() if database is None else database

    async def take_over(self, owner: str, lease_s: float, epoch: int) -> Lease | None:
        database = self._reach()
        if not (database.lapsed or succeeds(owner, database.owner) or database.epoch == epoch):
            return None
        continued = database.epoch == epoch
        database.epoch, database.owner, database.lapsed = database.epoch + 1, owner, lease_s <= 0
        kept = database.progress
        marks = kept.low_water, kept.swept_to, kept.clock_s
        return Lease(database.epoch, continued, *marks, database.paused, database.transactions.era)

    async def release(self, epoch: int, progress: Progress) -> None:
        database = self._reach()
        if epoch == database.epoch:
            database.keep(progress)
            database.lapsed = True

    async def write(self, epoch: int, batch: Batch) -> Written:
        database = self._reach()
        if epoch != database.epoch:
            raise FencedError("memory", 0, epoch)
        if database.full:
            raise JournalUnavailableError("memory", "full")
        _check(batch)
        known = {(stored_id(row.message), published_day(row.message)) for row in database.rows.values()}
        written = []
        for append in batch.appends:
            name = (stored_id(append.message), published_day(append.message))
            if name not in known:
                known.add(name)
                written.append((name[0], self._insert(append)))
        before = len(database.dead_letters)
        for letter in batch.dead_letters:
            database.bury(letter)
        added = len(database.dead_letters) - before
        for settlement in batch.letters:
            database.letters_settled.setdefault(settlement.seq, settlement)
        for settlement in batch.settlements:
            database.settled.setdefault(settlement.seq, settlement)
        database.retries.update((retry.seq, retry) for retry in batch.retries)
        if database.lost_answers:
            database.lost_answers -= 1
            raise JournalUnavailableError("memory", "the answer was lost")
        return Written(written, added)

    async def rehearse(self, epoch: int) -> None:
        await self.write(epoch, Batch())

    async def tick(self, epoch: int, progress: Progress, look: Look) -> Tick:
        database = self._reach()
        if look.lease_s is not None and epoch == database.epoch:
            database.keep(progress)
            database.lapsed = look.lease_s <= 0
        units = database.transactions
        seqs = [seq for seq in units.unseen(look.seen or seen_before(progress.swept_to)) if seq < look.sweep_below]
        held = epoch == database.epoch
        return Tick(held, units.lowest_running, seqs, units.snapshot, units.appeared(look.since), units.era)

    async def load(self, from_seq: int, limit: int) -> list[Row]:
        return _filled([row for row in self._reach().waiting() if row.seq >= from_seq][:limit])

    async def load_seqs(self, seqs: Sequence[int]) -> list[Row]:
        return _filled([row for row in self._reach().waiting() if row.seq in seqs])

    async def load_expired(self, walk: Walk) -> tuple[list[Row], Place | None]:
        places = sorted(
            (clock_s + message.ttl_ms / 1000, seq)
            for seq, (message, clock_s) in self._reach().rows.items()
            if message.ttl_ms is not None and clock_s is not None
        )
        walked = [place for place in places if walk.after < place and place[0] <= walk.until][: walk.limit]
        waiting = {row.seq: row for row in self._database.waiting() if row.seq >= walk.from_seq}
        found = [(place, waiting[place[1]]) for place in walked if place[1] in waiting]
        rows = _filled([row for _, row in found])
        if len(rows) < len(found):
            return rows, found[len(rows) - 1][0]
        return rows, walked[-1] if len(walked) == walk.limit else None

    async def load_ids(self, ids: Sequence[str]) -> list[Row]:
        return [row for row in self._reach().waiting() if stored_id(row.message) in ids]

    async def highest(self) -> int:
        return max(self._reach().rows, default=0)

    async def count(self, counted: Counted) -> Count:
        database = self._reach()
        settled = database.settled.keys() - set(counted.settling)
        late = set(database.transactions.unseen(seen_before(counted.swept_to)))
        rows = database.rows.items()
        waiting = [row for seq, row in rows if (seq >= counted.low_water or seq in late) and seq not in settled]
        return Count(Counter(row.message.tenant for row in waiting), database.transactions.snapshot)

    async def begin_count(self, counted: Counted) -> Counting:
        return _MemoryCounting(await self.count(counted))

    async def dead_letters(self) -> int:
        return len(self._reach().letters())

    async def pause(self, epoch: int, *, paused: bool) -> None:
        database = self._reach()
        if epoch != database.epoch:
            raise FencedError("memory", 0, epoch)
        database.paused = paused

    async def peek(
        self, which: Which, wanted: Selection, *, after_seq: int, limit: int, body_bytes: int
    ) -> list[Peeked]:
        return [
            Peeked(
                row.seq, row.message._replace(body=row.message.body[:body_bytes]), len(row.message.body), row.retries,
                row.lost, row.not_before, row.day,
            )
            for row in self._selected(which, wanted)
            if row.seq > after_seq
        ][:limit]  # fmt: skip

    async def tally(self, which: Which, wanted: Selection) -> list[Tally]:
        groups: dict[tuple[str, str, str], list[float]] = {}
        for row in self._selected(which, wanted):
            groups.setdefault((row.message.tenant, *death_of(row.message)), []).append(row.message.published_at)
        tallies = [Tally(*group, len(times), min(times)) for group, times in groups.items()]
        return sorted(tallies, key=lambda one: (-one.messages, one))

    async def load_letters(self, seqs: Sequence[int]) -> list[Row]:
        return _filled([row for row in self._reach().letters() if row.seq in seqs])

    async def maintain(self, days_ahead: int, days_kept: int) -> tuple[int, int]:
        del days_ahead, days_kept  # it has no days
        self._reach()
        return 0, 0

    async def aclose(self) -> None:
        return None

    def _selected(self, which: Which, wanted: Selection) -> list[Row]:
        database = self._reach()
        rows = database.waiting() if which == "waiting" else database.letters()
        return [row for row in rows if matches(wanted, row.message)]

    def _reach(self) -> MemoryDatabase:
        if self._database.away:
            raise JournalUnavailableError("memory", "away")
        return self._database

    def _insert(self, append: Append) -> int:
        database = self._database
        seq = append.seq
        if seq is None:
            seq = database.transactions.next_seq(max(database.appended, default=0))
        database.appended[seq] = _Stored(append.message, append.clock_s)
        return seq


def _filled(rows: Sequence[Row]) -> list[Row]:
    """The rows up to the one that fills a reading."""
    before = accumulate((len(row.message.body) for row in rows), initial=0)
    return [row for row, size_bytes in zip(rows, before, strict=False) if size_bytes < READ_BYTES]


def _check(batch: Batch) -> None:
    """Refuse what PostgreSQL could not hold, as far as has mattered."""
    try:
        columns([*(append.message for append in batch.appends), *batch.dead_letters], None)
    except (TypeError, ValueError) as error:
        raise JournalRefusedError("memory", str(error)) from error
    if any(retry.not_before >= _LATEST_S for retry in batch.retries):
        raise JournalRefusedError("memory", "not_before is out of range")
