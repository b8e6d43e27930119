"""All rows of one tenant's schema, whatever its tables: page by page, and a digest that tells whether any changed."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from actors.shards.unit import Transaction, UnitFunction

TABLES: Final = "shards.tables_of_tenant"
PAGE: Final = "shards.page_of_tenant"
DIGEST: Final = "shards.digest_of_tenant"

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_TYPE = re.compile(r"[a-z][a-z0-9 ()\[\]]{0,62}")
_TABLES = """
SELECT c.relname::text AS name,
       array_agg(a.attname::text ORDER BY place.at) AS key,
       array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY place.at) AS types,
       coalesce((SELECT array_agg(s.attname::text) FROM pg_attribute s
                 WHERE s.attrelid = c.oid AND s.attnum > 0 AND s.attname LIKE '%\\_sealed'), '{}') AS sealed
FROM pg_class c
JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS place (number, at)
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = place.number
WHERE c.relnamespace = to_regnamespace($1) AND c.relkind IN ('r', 'p')
GROUP BY c.oid, c.relname
ORDER BY c.relname
"""


class TenantTable(NamedTuple):
    """A table of a tenant's schema.

    Attributes:
        key: the columns of its primary key, in order.
        types: theirs.
        sealed: columns with sealed secrets, which nobody outside can open.
    """

    name: str
    key: tuple[str, ...]
    types: tuple[str, ...]
    sealed: tuple[str, ...]


class PageWanted(NamedTuple):
    """Rows of a table behind a key; None begins at its beginning."""

    table: TenantTable
    after: tuple[str, ...] | None
    limit: int


class TenantPage(NamedTuple):
    """Rows in the order of their keys: each its key, and the row as a JSON object without what is sealed."""

    rows: list[tuple[tuple[str, ...], str]]


class TableDigest(NamedTuple):
    """How many rows there are, and a sum over their contents that is another one if any is."""

    rows: int
    total: str


async def tables_of_tenant(transaction: Transaction, _arguments: None) -> list[TenantTable]:
    """The tables of the tenant in whose context it runs, by name; none if it has no schema. Each has a primary key."""
    rows = await transaction.fetch(_TABLES, transaction.schema)
    return [TenantTable(name, tuple(key), tuple(types), tuple(sealed)) for name, key, types, sealed in rows]


async def page_of_tenant(transaction: Transaction, wanted: PageWanted) -> TenantPage:
    """A page of a table. What is written meanwhile behind the key comes with a later page, or not at all."""
    table = wanted.table
    key = ", ".join(_quoted(column) for column in table.key)
    texts = ", ".join(f"{_quoted(column)}::text" for column in table.key)
    behind = ""
    if wanted.after is not None:
        given = ", ".join(f"(${at}::text)::{_type(kind)}" for at, kind in enumerate(table.types, 3))
        behind = f"WHERE ({key}) > ({given})"
    statement = (
        f"SELECT ARRAY[{texts}] AS key, (to_jsonb(t) - $2::text[])::text AS line"  # noqa: S608 - names are checked
        f" FROM {{schema}}.{_quoted(table.name)} AS t {behind} ORDER BY {key} LIMIT $1"
    )
    rows = await transaction.fetch(statement, wanted.limit, list(table.sealed), *(wanted.after or ()))
    return TenantPage([(tuple(found), line) for found, line in rows])


async def digest_of_tenant(transaction: Transaction, table: TenantTable) -> TableDigest:
    """The digest of a table.

    Weakness: it is a sum of 64-bit hashes, made to notice a change, not to withstand somebody who looks for one that
    leaves it as it is.
    """
    row = await transaction.fetchrow(
        "SELECT count(*) AS rows, coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text AS total"  # noqa: S608
        f" FROM {{schema}}.{_quoted(table.name)} AS t"
    )
    return TableDigest(*row)


def _quoted(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is no name of ours")
    return f'"{name}"'


def _type(name: str) -> str:
    if _TYPE.fullmatch(name) is None:
        raise ValueError(f"{name!r} is no type of a key")
    return name


UNITS: Mapping[str, UnitFunction] = MappingProxyType(
    {TABLES: tables_of_tenant, PAGE: page_of_tenant, DIGEST: digest_of_tenant}
)
