"""One question to all shards at once, with a deadline, and one answer that says which shards are missing from it.

In a store, beside its units of work::

    LISTING: Final = ShardQuery(
        "tenants.list", _SQL["list"], ListedRow, order=(OrderBy("tenant_id", str, any_collation=True),)
    )
    TOTALS: Final = CombinedQuery("tenants.totals", _SQL["totals"], TotalsRow, {"tenants": Combine.COUNT})
    UNITS = {..., LISTING.name: LISTING.run, TOTALS.name: TOTALS.run}

where ``ListedRow`` and ``TotalsRow`` are NamedTuples of the statements' columns; ``shard_query.py`` says what a
statement may be. In the service, over a ``ShardsHandle`` or any other ``UnitRunner``::

    fan_out = FanOut(shards)
    page = await fan_out.page(LISTING, "active", limit=50, cursor=cursor, timeout_s=2.0, partial=True)
    page.rows, page.next_cursor, page.missing  # ListedRows; None at the end; {shard: error}, empty if all answered
    totals = await fan_out.combine(TOTALS, timeout_s=2.0)  # one TotalsRow, or one a group

Each shard sorts and stops by itself; what comes back is merged, at most ``limit`` and one row from each. Whoever calls
chooses what a missing shard means: with ``partial`` it is named in the answer, without the call fails with a
``ShardsMissingError``. If no shard answers it fails in any case.
"""

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any, Generic, NamedTuple

from actors.shards.cursor import decode_cursor, encode_cursor
from actors.shards.errors import ShardsMissingError
from actors.shards.merging import combined, merged
from actors.shards.placement import SHARDS
from actors.shards.shard_query import LIMIT_AT_MOST, CombinedQuery, PageWanted, Row, ShardQuery
from actors.shards.unit import UnitCall, UnitRunner
from kernel.errors import SpazaError


class Answers(NamedTuple):
    """What each shard answered, and what went wrong on those that are missing."""

    values: Mapping[int, Any]
    missing: Mapping[int, SpazaError]


class Page(NamedTuple, Generic[Row]):
    """Some rows of all shards, in order.

    Attributes:
        rows: at most as many as were wanted.
        next_cursor: for the page behind this one; None if there is none. It begins behind the last row: what a missing
            shard has before that comes in no later page, so where it matters ask again for this one.
        missing: shards whose rows are not among these, with what went wrong.
    """

    rows: list[Row]
    next_cursor: str | None
    missing: Mapping[int, SpazaError]

    @property
    def partial(self) -> bool:
        """Whether a shard is missing."""
        return bool(self.missing)


class Combined(NamedTuple, Generic[Row]):
    """Figures of all shards but those that are ``missing``: one row, or one a group."""

    rows: list[Row]
    missing: Mapping[int, SpazaError]

    @property
    def partial(self) -> bool:
        """Whether a shard is missing."""
        return bool(self.missing)


class FanOut:
    """Asks the same of all shards. Holds nothing; one serves all.

    The units run as the system role, each in a transaction of its own: shards are not seen at one and the same moment.
    """

    def __init__(self, shards: UnitRunner, of: Collection[int] = range(SHARDS)) -> None:
        self._shards, self._of = shards, tuple(of)

    async def each(
        self,
        unit: str,
        arguments: Any,
        *,
        timeout_s: float,
        partial: bool = False,
        max_staleness_s: float | None = None,
    ) -> Answers:
        """Run a registered unit without a tenant on every shard.

        Args:
            unit: its name.
            arguments: the same for all.
            timeout_s: after which a shard that has not answered is missing.
            partial: whether an answer without some of the shards is one.
            max_staleness_s: standbys may answer, if they have all that is older (``UnitCall.max_staleness_s``).

        Raises:
            ShardsMissingError: no shard answered, or, without ``partial``, not all did.
        """
        calls = [UnitCall(unit, shard, "", arguments, max_staleness_s=max_staleness_s) for shard in self._of]
        outcomes = await self._shards.run(calls, timeout_s=timeout_s)
        values: dict[int, Any] = {}
        missing: dict[int, SpazaError] = {}
        for shard, outcome in zip(self._of, outcomes, strict=True):
            if outcome.error is None:
                values[shard] = outcome.value
            else:
                missing[shard] = outcome.error
        if missing and not (partial and values):
            first = next(iter(missing.values()))
            raise ShardsMissingError(unit, tuple(missing), str(first)) from first
        return Answers(values, missing)

    async def page(
        self,
        query: ShardQuery[Row],
        *parameters: Any,
        limit: int,
        cursor: str | None = None,
        timeout_s: float,
        partial: bool = False,
        max_staleness_s: float | None = None,
    ) -> Page[Row]:
        """The first rows of all shards in the query's order, behind a cursor.

        Args:
            query: registered with the actors.
            parameters: of its statement, the same for every page.
            limit: rows at most, 1 to 1,000.
            cursor: the ``next_cursor`` of the page before; None begins.
            timeout_s: as with ``each``.
            partial: as with ``each``.
            max_staleness_s: as with ``each``.

        Raises:
            InvalidCursorError: the cursor is none of this query's.
            ShardsMissingError: as with ``each``.
            ValueError: the limit is out of range.
        """
        if not 1 <= limit <= LIMIT_AT_MOST:
            raise ValueError(f"limit: must be 1 to {LIMIT_AT_MOST}, not {limit}")
        after = None if cursor is None else decode_cursor(cursor, query.name, query.order)
        # One more tells whether there is a next page.
        wanted = PageWanted(parameters, after, limit + 1)
        answers = await self.each(
            query.name, wanted, timeout_s=timeout_s, partial=partial, max_staleness_s=max_staleness_s
        )
        found = list(islice(merged(answers.values.values(), query.columns, query.order), limit + 1))
        rows = [query.row(*row) for row in found[:limit]]
        more = len(found) > limit
        return Page(rows, encode_cursor(query.name, query.place_of(rows[-1])) if more else None, answers.missing)

    async def combine(
        self,
        query: CombinedQuery[Row],
        *parameters: Any,
        timeout_s: float,
        partial: bool = False,
        max_staleness_s: float | None = None,
    ) -> Combined[Row]:
        """The query's figures over all shards; arguments and errors as with ``each``."""
        answers = await self.each(
            query.name, parameters, timeout_s=timeout_s, partial=partial, max_staleness_s=max_staleness_s
        )
        rows = combined(answers.values.values(), query.columns, query.combine)
        return Combined([query.row(*row) for row in rows], answers.missing)
