"""The journal of a partition in its shard's PostgreSQL database."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from actors.mailbox.connections import Connections, JournalConnection, Lender
from actors.mailbox.counting import UNENCODABLE, UNWRITABLE, PostgresCounting, count_rows, refused, translated
from actors.mailbox.errors import FencedError
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
    Row,
    Tick,
    Walk,
    Written,
    seen_before,
)
from actors.mailbox.message import Message
from actors.mailbox.parameters import of_flush, of_selection, of_whole_flush
from actors.mailbox.readings import peeked_of, row_of
from actors.mailbox.rows import otherwise_named
from actors.mailbox.selection import Peeked, Selection, Tally, Which
from kernel.sql import load_queries

_QUERIES = load_queries(Path(__file__).with_name("queries.sql"))
_OPERATOR = load_queries(Path(__file__).with_name("operator_queries.sql"))
# More than there may be room for in pages that are there; under a seq that no message has.
_REHEARSED_BYTES, _NO_SEQ = 262_144, 0
# The selection's part that needs the headers.
_NO_REASONS: tuple[Any, ...] = (None, [], None)


class Patience(NamedTuple):
    """How long statements may take, in seconds."""

    write_s: float = 1.5
    take_over_s: float = 5.0
    tick_s: float = 3.0
    load_s: float = 15.0
    count_s: float = 15.0
    count_at_once_s: float = 0.5
    maintain_s: float = 300.0


class PostgresJournal:
    """Implements ``Journal``.

    Args:
        connections: to the database; shared by the partitions that live there, or not.
        queue: whose partition.
        dead_letter_queue: that takes its dead letters; empty for none.
        partition: which.
    """

    def __init__(
        self,
        connections: Connections,
        queue: str,
        dead_letter_queue: str,
        partition: int,
        patience: Patience | None = None,
    ) -> None:
        self._connections, self._queue, self._partition = connections, queue, partition
        self._dead_letter_queue = dead_letter_queue
        self._patience = Patience() if patience is None else patience

    async def take_over(self, owner: str, lease_s: float, epoch: int) -> Lease | None:
        where = (self._queue, self._partition)
        async with self._session(self._patience.take_over_s) as connection, connection.transaction():
            held = await connection.fetchrow(_QUERIES["lock_owner"], *where)
            if held is None:
                await connection.execute(_QUERIES["declare_owner"], *where)
                held = await connection.fetchrow(_QUERIES["lock_owner"], *where)
            if held is None or not (held["lapsed"] or succeeds(owner, held["owner"]) or held["epoch"] == epoch):
                return None
            row = await connection.fetchrow(_QUERIES["take_ownership"], *where, owner, lease_s)
            assert row is not None
            return Lease(row[0], held["epoch"] == epoch, row[1], row[2], row[3], row[4], connection.era)

    async def release(self, epoch: int, progress: Progress) -> None:
        async with self._session(self._patience.tick_s) as connection:
            kept = _kept(progress, connection.era)
            await connection.execute(_QUERIES["release_ownership"], self._queue, self._partition, epoch, *kept)

    async def write(self, epoch: int, batch: Batch) -> Written:
        whole = bool(batch.dead_letters or batch.retries or batch.letters)
        # The statement that can do all costs half as much again.
        query = "flush_whole" if whole else "flush"
        while True:
            with refused(self._queue, UNENCODABLE):
                arguments = (
                    of_whole_flush(self._queue, self._dead_letter_queue, batch)
                    if whole
                    else of_flush(self._queue, batch)
                )
            async with self._session(self._patience.write_s) as connection:
                with refused(self._queue, UNWRITABLE):
                    row = await connection.fetchrow(_QUERIES[query], self._queue, self._partition, epoch, *arguments)
            assert row is not None
            if row["held"] == 0:
                raise FencedError(self._queue, self._partition, epoch)
            if not whole:
                return Written(list(zip(row["ids"], row["seqs"], strict=True)), 0)
            if not row["taken"]:
                return Written(list(zip(row["ids"], row["seqs"], strict=True)), row["dead"])
            places = [place - len(batch.appends) for place in row["taken"]]
            batch = batch._replace(dead_letters=otherwise_named(batch.dead_letters, places, row["taken_headers"]))

    async def rehearse(self, epoch: int) -> None:
        bulk = Message.new(os.urandom(_REHEARSED_BYTES), key="")  # which cannot be compressed
        arguments = of_flush(self._queue, Batch([Append(bulk, _NO_SEQ, 0.0)]))
        async with self._session(self._patience.write_s) as connection:
            transaction = connection.transaction()
            await transaction.start()
            row = await connection.fetchrow(_QUERIES["flush"], self._queue, self._partition, epoch, *arguments)
            await transaction.rollback()
        assert row is not None
        if row[0] == 0:
            raise FencedError(self._queue, self._partition, epoch)

    async def tick(self, epoch: int, progress: Progress, look: Look) -> Tick:
        async with self._session(self._patience.tick_s) as connection:
            row = await connection.fetchrow(
                _QUERIES["tick"],
                self._queue,
                self._partition,
                epoch,
                look.lease_s is not None,
                0.0 if look.lease_s is None else look.lease_s,
                *_kept(progress, connection.era),
                look.sweep_below,
                look.seen or seen_before(progress.swept_to),
                look.since,
            )
        assert row is not None
        return Tick(row[0], row[1], row[2], row[3], dict(zip(row[4], row[5], strict=True)), connection.era)

    async def load(self, from_seq: int, limit: int) -> list[Row]:
        return await self._load("load", from_seq, limit, READ_BYTES)

    async def load_seqs(self, seqs: Sequence[int]) -> list[Row]:
        return await self._load("load_seqs", list(seqs), READ_BYTES)

    async def load_expired(self, walk: Walk) -> tuple[list[Row], Place | None]:
        arguments = (self._queue, self._partition, walk.from_seq, *walk.after, walk.until, walk.limit, READ_BYTES)
        async with self._session(self._patience.load_s) as connection:
            found = await connection.fetch(_QUERIES["load_expired"], *arguments)
        if not found:
            return [], None
        last, rows = found[-1], [row_of(row, self._queue) for row in found if row["seq"] is not None]
        if len(rows) < last["waiting"]:
            return rows, (last["ends_s"], last["seq"])
        return rows, (last["last_ends_s"], last["last_seq"]) if last["walked"] == walk.limit else None

    async def load_ids(self, ids: Sequence[str]) -> list[Row]:
        return await self._load("load_ids", list(ids))

    async def highest(self) -> int:
        async with self._session(self._patience.load_s) as connection:
            highest: int = await connection.fetchval(_QUERIES["highest"], self._queue, self._partition)
        return highest

    async def count(self, counted: Counted) -> Count:
        async with self._session(self._patience.count_at_once_s) as connection:
            return await count_rows(connection, self._queue, self._partition, counted)

    async def begin_count(self, counted: Counted) -> Counting:
        with translated(self._queue):
            connection = await self._connections.detached(self._patience.tick_s)
            counting = PostgresCounting(connection, self._queue, self._partition, counted, self._patience.count_s)
            await counting.begin(self._patience.tick_s)
        return counting

    async def dead_letters(self) -> int:
        if not self._dead_letter_queue:
            return 0
        async with self._session(self._patience.count_s, self._connections.extra) as connection:
            total: int = await connection.fetchval(_QUERIES["dead_letters"], self._dead_letter_queue, self._partition)
        return total

    async def pause(self, epoch: int, *, paused: bool) -> None:
        async with self._session(self._patience.tick_s) as connection:
            held = await connection.fetchval(_OPERATOR["pause"], self._queue, self._partition, epoch, paused)
        if not held:
            raise FencedError(self._queue, self._partition, epoch)

    async def peek(
        self, which: Which, wanted: Selection, *, after_seq: int, limit: int, body_bytes: int
    ) -> list[Peeked]:
        arguments = (self._name(which), self._partition, after_seq, limit, body_bytes, *of_selection(wanted))
        async with self._session(self._patience.count_s, self._connections.extra) as connection:
            rows = await connection.fetch(_OPERATOR["peek"], *arguments)
        return [peeked_of(row) for row in rows]

    async def tally(self, which: Which, wanted: Selection) -> list[Tally]:
        query, arguments = "tally", of_selection(wanted)
        if which == "waiting" and arguments[5:] == _NO_REASONS:
            # Reading the headers of a million messages takes long.
            query, arguments = "tally_tenants", arguments[:5]
        async with self._session(self._patience.count_s, self._connections.extra) as connection:
            rows = await connection.fetch(_OPERATOR[query], self._name(which), self._partition, *arguments)
        return [Tally(*row) for row in rows]

    async def load_letters(self, seqs: Sequence[int]) -> list[Row]:
        async with self._session(self._patience.load_s) as connection:
            rows = await connection.fetch(
                _QUERIES["load_seqs"], self._dead_letter_queue, self._partition, list(seqs), READ_BYTES
            )
        return [row_of(row, self._dead_letter_queue) for row in rows]

    async def maintain(self, days_ahead: int, days_kept: int) -> tuple[int, int]:
        made = dropped = 0
        async with self._session(self._patience.maintain_s, self._connections.extra) as connection:
            await connection.execute(_QUERIES["take_time"], f"{self._patience.maintain_s:g}s")
            more = 1
            while more:
                row = await connection.fetchrow(_QUERIES["maintain"], days_ahead, days_kept)
                assert row is not None
                more = row[1]
                made, dropped = made + row[0], dropped + more
            await connection.execute(_QUERIES["clean"], days_kept)
            await connection.execute(_QUERIES["analyze"])
        return made, dropped

    async def aclose(self) -> None:
        await self._connections.aclose()

    def _name(self, which: Which) -> str:
        return self._queue if which == "waiting" else self._dead_letter_queue

    async def _load(self, query: str, *arguments: Any) -> list[Row]:
        async with self._session(self._patience.load_s) as connection:
            rows = await connection.fetch(_QUERIES[query], self._queue, self._partition, *arguments)
        return [row_of(row, self._queue) for row in rows]

    @asynccontextmanager
    async def _session(self, timeout_s: float, lender: Lender | None = None) -> AsyncIterator[JournalConnection]:
        lend = self._connections.lend if lender is None else lender
        with translated(self._queue):
            async with lend(timeout_s) as connection:
                yield connection


def _kept(progress: Progress, era: int) -> tuple[int, str | None, float]:
    """What the owner's row is to hold; None for what it holds."""
    return progress.low_water, progress.swept_to if progress.era == era else None, progress.clock_s
