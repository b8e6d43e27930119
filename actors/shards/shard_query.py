"""Statements that are asked of all shards at once: declared by a store, run as a unit on each shard.

A statement reads shared tables (``spaza.*``), for a tenant's own schema is on one shard alone. It stands in the store's
``.sql`` file without ``ORDER BY`` and ``LIMIT``; these are added here, so that each shard sorts and stops by itself.
``fan_out.py`` asks and puts the answers together.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, Final, Generic, NamedTuple, TypeVar

from actors.shards.unit import Transaction

# A NamedTuple.
Row = TypeVar("Row", bound=tuple[Any, ...])

KINDS: Final = (str, int, float, Decimal, dt.datetime, dt.date)
LIMIT_AT_MOST: Final = 1_000
_GROUPS_AT_MOST = 10_000
_PARAMETER = re.compile(r"\$(\d+)")


class OrderBy(NamedTuple):
    """A column by which the rows of all shards are put in order. It is never null.

    Attributes:
        column: one of the row's.
        kind: what its values are here, one of ``KINDS``.
        descending: the greatest first.
        any_collation: its texts sort alike under every collation, as ids of hexadecimal digits do, so that an index
            under the database's own serves. Other texts are put in the order of ``COLLATE "C"``, which is Python's.
    """

    column: str
    kind: type[Any]
    descending: bool = False
    any_collation: bool = False


class PageWanted(NamedTuple):
    """What one shard is asked for: its first rows, at most ``limit``, behind the place ``after``."""

    parameters: tuple[Any, ...]
    after: tuple[Any, ...] | None
    limit: int


@dataclass(frozen=True, slots=True)
class ShardQuery(Generic[Row]):
    """Rows of all shards in one order, page by page. Register it in the store: ``{QUERY.name: QUERY.run}``.

    Attributes:
        name: of the unit, such as ``tenants.list``.
        statement: a ``SELECT`` with parameters of its own, ``$1`` and so on.
        row: a NamedTuple whose fields are columns of the statement.
        order: by which columns; together they tell every row of every shard from every other, else a row that is like
            the last of a page may be passed over.
    """

    name: str
    statement: str
    row: type[Row]
    order: tuple[OrderBy, ...]

    def __post_init__(self) -> None:
        columns = self.columns
        for by in self.order:
            if by.column not in columns or by.kind not in KINDS:
                raise ValueError(f"{self.name}: order by a column of the row, of one of the KINDS, not {by}")
        if not self.order:
            raise ValueError(f"{self.name}: a page needs an order")

    @property
    def columns(self) -> tuple[str, ...]:
        """Of a row."""
        return _fields(self.row)

    def place_of(self, row: Sequence[Any]) -> tuple[Any, ...]:
        """Where a row stands in the order."""
        columns = self.columns
        return tuple(row[columns.index(by.column)] for by in self.order)

    async def run(self, transaction: Transaction, wanted: PageWanted) -> list[tuple[Any, ...]]:
        """The unit of work: rows of this shard as plain tuples, in order."""
        after = () if wanted.after is None else wanted.after
        text = _page_text(self.statement, self.columns, self.order, wanted.limit, behind=wanted.after is not None)
        rows = [tuple(row) for row in await transaction.fetch(text, *wanted.parameters, *after)]
        if any(value is None for row in rows for value in self.place_of(row)):
            raise ValueError(f"{self.name}: a column of the order is null; coalesce it in the statement")
        return rows


class Combine(Enum):
    """How the figures of the shards become one. A null, such as the sum of no rows, is left out."""

    COUNT = "count"
    SUM = "sum"
    MIN = "min"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class CombinedQuery(Generic[Row]):
    """Figures of all shards as one. Register it in the store: ``{QUERY.name: QUERY.run}``.

    An average is no such figure: ask for sum and count.

    Attributes:
        name: of the unit, such as ``tenants.count``.
        statement: a ``SELECT`` of aggregates, with ``GROUP BY`` or without.
        row: a NamedTuple whose fields are columns of the statement.
        combine: how each figure is combined; the other columns are the group.
    """

    name: str
    statement: str
    row: type[Row]
    combine: Mapping[str, Combine]

    def __post_init__(self) -> None:
        unknown = self.combine.keys() - {*self.columns}
        if unknown or not self.combine:
            raise ValueError(f"{self.name}: combine columns of the row, at least one; unknown: {sorted(unknown)}")

    @property
    def columns(self) -> tuple[str, ...]:
        """Of a row."""
        return _fields(self.row)

    async def run(self, transaction: Transaction, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """The unit of work: this shard's figures as plain tuples, one a group."""
        inner = f"(\n{self.statement}\n) AS found LIMIT {_GROUPS_AT_MOST + 1}"
        text = f"SELECT {_listed(self.columns)} FROM {inner}"  # noqa: S608 - declared in code
        rows = [tuple(row) for row in await transaction.fetch(text, *parameters)]
        if len(rows) > _GROUPS_AT_MOST:
            raise ValueError(f"{self.name}: more than {_GROUPS_AT_MOST} groups on one shard")
        return rows


@lru_cache(maxsize=1024)
def _page_text(
    statement: str, columns: tuple[str, ...], order: tuple[OrderBy, ...], limit: int, *, behind: bool
) -> str:
    where = ""
    if behind:
        first = max((int(number) for number in _PARAMETER.findall(statement)), default=0) + 1
        where = f"\nWHERE {_behind(order, first)}"
    ordered = ", ".join(f"{_sorted(by)} DESC" if by.descending else _sorted(by) for by in order)
    # The limit is text, for with a parameter in its place the planner would not know that few rows are wanted.
    found = f"SELECT {_listed(columns)} FROM (\n{statement}\n) AS found"  # noqa: S608 - declared in code
    return f"{found}{where}\nORDER BY {ordered} LIMIT {limit:d}"


def _behind(order: Sequence[OrderBy], first: int) -> str:
    if len({by.descending for by in order}) == 1:
        # One comparison of rows is one range of an index.
        left = ", ".join(_sorted(by) for by in order)
        right = ", ".join(f"${first + place}" for place in range(len(order)))
        return f"({left}) {'<' if order[0].descending else '>'} ({right})"
    by, *others = order
    beyond = f"{_sorted(by)} {'<' if by.descending else '>'} ${first}"
    return f"({beyond} OR {_sorted(by)} = ${first} AND {_behind(others, first + 1)})"


def _sorted(by: OrderBy) -> str:
    return f'"{by.column}" COLLATE "C"' if by.kind is str and not by.any_collation else f'"{by.column}"'


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _fields(row: type[Any]) -> tuple[str, ...]:
    fields: tuple[str, ...] = row._fields
    return fields
