"""Puts the answers of shards together. Pure."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from actors.shards.shard_query import Combine, OrderBy

_Plain = tuple[Any, ...]


class _Descending:
    """Sorts the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: "_Descending") -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and bool(self.value == other.value)

    __hash__ = None  # type: ignore[assignment]


def merged(lists: Iterable[Sequence[_Plain]], columns: Sequence[str], order: Sequence[OrderBy]) -> Iterator[_Plain]:
    """K-way merge of rows that are in order already; rows behind the last one taken are not looked at.

    Raises:
        ValueError: a list was not in order, so the shards sort otherwise than Python does.
    """
    places = [columns.index(by.column) for by in order]
    reverse = all(by.descending for by in order)
    key: Callable[[_Plain], Any]
    if reverse or not any(by.descending for by in order):
        key = itemgetter(*places)
    else:
        ways = [(place, by.descending) for place, by in zip(places, order, strict=True)]

        def key(row: _Plain) -> Any:
            return tuple(_Descending(row[place]) if descending else row[place] for place, descending in ways)

    last: Any = None
    for row in heapq.merge(*lists, key=key, reverse=reverse):
        at = key(row)
        if last is not None and (last < at if reverse else at < last):
            raise ValueError(f"a shard's rows are not in the order of {', '.join(by.column for by in order)}")
        last = at
        yield row


def combined(lists: Iterable[Sequence[_Plain]], columns: Sequence[str], combine: Mapping[str, Combine]) -> list[_Plain]:
    """One row a group, in the order in which groups are met first; the columns that are not combined are the group."""
    ways = [combine.get(column) for column in columns]
    group_at = [place for place, way in enumerate(ways) if way is None]
    groups: dict[_Plain, list[Any]] = {}
    for rows in lists:
        for row in rows:
            so_far = groups.setdefault(tuple(row[place] for place in group_at), [None] * len(ways))
            for place, way in enumerate(ways):
                so_far[place] = row[place] if way is None else _together(way, so_far[place], row[place])
    return [tuple(row) for row in groups.values()]


def _together(way: Combine, one: Any, other: Any) -> Any:
    if one is None or other is None:
        return other if one is None else one
    match way:
        case Combine.MIN:
            return min(one, other)
        case Combine.MAX:
            return max(one, other)
        case _:
            return one + other
