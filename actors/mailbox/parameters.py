"""The parameters of the journal's statements: a batch as one array for each column. Pure."""

from collections.abc import Sequence
from operator import add
from typing import Any

from actors.mailbox.journal import Batch, Retry, Settlement
from actors.mailbox.reasons import storable
from actors.mailbox.rows import columns
from actors.mailbox.selection import Selection


def of_flush(queue: str, batch: Batch) -> tuple[Any, ...]:
    """Of the statement that appends and settles."""
    appends = batch.appends
    return (
        appends[0].clock_s if appends else None,
        [append.seq for append in appends],
        *columns([append.message for append in appends], queue),
        *_settlements(batch.settlements),
    )


def of_whole_flush(queue: str, dead_letter_queue: str, batch: Batch) -> tuple[Any, ...]:
    """Of the statement that can do all."""
    appends, dead = batch.appends, batch.dead_letters
    return (
        appends[0].clock_s if appends else None,
        [append.seq for append in appends] + [None] * len(dead),
        [queue] * len(appends) + [dead_letter_queue] * len(dead),
        *map(add, columns([append.message for append in appends], queue), columns(dead, dead_letter_queue)),
        *_settlements([*batch.settlements, *batch.letters]),
        *_arrays([one._replace(reason=storable(one.reason)) for one in batch.retries], len(Retry._fields)),
        [queue] * len(batch.settlements) + [dead_letter_queue] * len(batch.letters),
    )


def _settlements(settlements: Sequence[Settlement]) -> list[list[Any]]:
    return _arrays(
        [(one.day, one.seq, one.cause, storable(one.reason), one.deliveries) for one in settlements],
        len(Settlement._fields),
    )


def of_selection(wanted: Selection) -> tuple[Any, ...]:
    """What an operator's statements compare."""
    ids = None if wanted.ids is None else list(wanted.ids)
    return (
        wanted.tenant, wanted.key, wanted.since, wanted.until, ids, wanted.reason, list(wanted.not_reasons),
        wanted.redriven_before,
    )  # fmt: skip


def _arrays(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
