"""The tables that go with a tenant, and the statements that read, compare and write their rows. Pure.

What was written since an earlier look is told by the transaction that wrote it, which each row names; what was deleted,
by counting. So the source needs neither triggers nor a slot, and nothing of a look is left behind there.
"""

# ruff: noqa: S608 - names come from the catalogue and are quoted

from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from kernel.sql import quoted

SHARED_SCHEMA: Final = "spaza"
INBOUND: Final = "inbound_message"


class MovedTable(NamedTuple):
    """A table, or the part of a shared one that is the tenant's.

    Attributes:
        schema: where it is.
        name: within the schema.
        columns: all that are written.
        key: of them, those of the primary key.
        referenced: whether rows of other tables refer to its rows.
        shared: whether it holds rows of other tenants as well.
    """

    schema: str
    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    referenced: bool = False
    shared: bool = False

    @property
    def path(self) -> str:
        """Its name in a statement."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    def where(self, *conditions: str) -> str:
        """The clause that leaves the tenant's rows that meet the conditions; the tenant is ``$1``."""
        both = [*(("t.tenant_id = $1::text",) if self.shared else ("$1::text IS NOT NULL",)), *conditions]
        return f"WHERE {' AND '.join(both)}"


def in_order(parents: dict[str, Collection[str]]) -> list[str]:
    """Names so that each comes behind those to which it refers.

    Weakness: of names that refer to each other in a circle the order is that of their names.
    """
    ordered: list[str] = []
    left = dict(sorted(parents.items()))
    while left:
        free = [name for name, those in left.items() if not (set(those) & left.keys()) - {name}] or [next(iter(left))]
        ordered += free
        left = {name: those for name, those in left.items() if name not in free}
    return ordered


# What a row says of the transaction that wrote it has 32 bits. ``age`` counts from now, so it goes round with them; a
# row that is so old that it cannot be told is taken for a new one.
_CHANGED: Final = "age(t.xmin) <= age($2::text::xid)"


def changes(tables: Sequence[MovedTable]) -> str:
    """How many rows each has, and how many of them were written since a horizon. ``$1`` tenant, ``$2`` horizon."""
    return _together(
        f"SELECT {place}, count(*), count(*) FILTER (WHERE {_CHANGED}) FROM {table.path} AS t {table.where()}"
        for place, table in enumerate(tables)
    )


def digests(tables: Sequence[MovedTable]) -> str:
    """How many rows each has, and a sum over their contents. ``$1`` tenant.

    Weakness: it is a sum of 64-bit hashes, made to notice a mistake, not to withstand somebody who wants to hide one.
    """
    return _together(
        f"SELECT {place}, count(*), coalesce(sum(hashtextextended(ROW({_columns(table.columns, 't.')})::text,"
        f" 0)::numeric), 0)::text FROM {table.path} AS t {table.where()}"
        for place, table in enumerate(tables)
    )


def changed_rows(table: MovedTable) -> str:
    """Those that were written since a horizon. ``$1`` tenant, ``$2`` horizon."""
    return f"SELECT {_columns(table.columns)} FROM {table.path} AS t {table.where(_CHANGED)}"


def keys(table: MovedTable) -> str:
    """The keys of all rows. ``$1`` tenant."""
    return f"SELECT {_columns(table.key)} FROM {table.path} AS t {table.where()}"


def make_room(table: MovedTable, place: int) -> str:
    """Tables of the session for rows and for keys that arrive."""
    return (
        f"CREATE TEMP TABLE {rows_of(place)} AS SELECT {_columns(table.columns)} FROM {table.path} WITH NO DATA;"
        f"CREATE TEMP TABLE {keys_of(place)} AS SELECT {_columns(table.key)} FROM {table.path} WITH NO DATA"
    )


def rows_of(place: int) -> str:
    """The name of the session's table for rows."""
    return f"moved_rows_{place}"


def keys_of(place: int) -> str:
    """The name of the session's table for keys."""
    return f"moved_keys_{place}"


def unknown(table: MovedTable, place: int) -> str:
    """How many of the rows that arrived are under keys that were not there. ``$1`` tenant."""
    return (
        f"SELECT count(*) FROM {rows_of(place)} AS s WHERE NOT EXISTS"
        f" (SELECT FROM {table.path} AS t {table.where(_same_key(table))})"
    )


def delete_others(table: MovedTable, place: int) -> str:
    """Away with rows that are not under one of the keys that arrived. ``$1`` tenant."""
    return (
        f"DELETE FROM {table.path} AS t"
        f" {table.where(f'NOT EXISTS (SELECT FROM {keys_of(place)} AS s WHERE {_same_key(table)})')}"
    )


def delete_same(table: MovedTable, place: int) -> str:
    """Away with rows under the keys that arrived, lest one's old value forbid another's new one. ``$1`` tenant."""
    return f"DELETE FROM {table.path} AS t USING {rows_of(place)} AS s {table.where(_same_key(table))}"


def put(table: MovedTable, place: int) -> str:
    """Write the rows that arrived, over those that are there under the same key."""
    columns = _columns(table.columns)
    changed = [name for name in table.columns if name not in table.key]
    sets = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in changed)
    over = f"DO UPDATE SET {sets}" if sets else "DO NOTHING"
    return (
        f"INSERT INTO {table.path} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {rows_of(place)}"
        f" ON CONFLICT ({_columns(table.key)}) {over}"
    )


def _same_key(table: MovedTable) -> str:
    return " AND ".join(f"s.{quoted(name)} = t.{quoted(name)}" for name in table.key)


def _columns(names: Sequence[str], prefix: str = "") -> str:
    return ", ".join(f"{prefix}{quoted(name)}" for name in names)


def _together(selects: Iterable[str]) -> str:
    return " UNION ALL ".join(selects)
