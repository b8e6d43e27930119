"""What shards sorted and counted each for itself comes together as if one had done it."""

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.shards.merging import combined, merged
from actors.shards.shard_query import Combine, CombinedQuery, OrderBy, ShardQuery

COLUMNS = ("name", "size")
ORDERS = [
    (OrderBy("name", str), OrderBy("size", int)),
    (OrderBy("name", str, descending=True), OrderBy("size", int, descending=True)),
    (OrderBy("size", int, descending=True), OrderBy("name", str)),
]
ROWS = st.lists(st.lists(st.tuples(st.text(max_size=3), st.integers(-3, 3)), max_size=8), max_size=6)


def in_order(rows: list[tuple[Any, ...]], order: tuple[OrderBy, ...]) -> list[tuple[Any, ...]]:
    for by in reversed(order):
        rows = sorted(rows, key=lambda row: row[COLUMNS.index(by.column)], reverse=by.descending)
    return rows


@pytest.mark.parametrize("order", ORDERS)
@given(lists=ROWS)
def test_merging_what_each_has_sorted_is_sorting_all(order: tuple[OrderBy, ...], lists: list[list[Any]]) -> None:
    found = list(merged([in_order(rows, order) for rows in lists], COLUMNS, order))

    assert found == in_order([row for rows in lists for row in rows], order)


@pytest.mark.parametrize("order", ORDERS)
def test_a_shard_that_sorts_otherwise_is_found_out(order: tuple[OrderBy, ...]) -> None:
    wrong = list(reversed(in_order([("a", 1), ("b", 2), ("B", 3)], order)))

    with pytest.raises(ValueError, match="not in the order"):
        list(merged([wrong, [("a", 0)]], COLUMNS, order))


def test_rows_behind_those_that_are_taken_are_not_looked_at() -> None:
    rows = merged([[(1, "x"), (2, object())]], ("n", "o"), [OrderBy("n", int), OrderBy("o", str)])

    assert next(rows) == (1, "x")


def test_counts_and_sums_add_up_and_the_least_and_the_greatest_win_group_by_group() -> None:
    columns = ("state", "number", "total", "first", "last")
    combine = {"number": Combine.COUNT, "total": Combine.SUM, "first": Combine.MIN, "last": Combine.MAX}
    lists: list[list[tuple[Any, ...]]] = [
        [("on", 2, 5, 3, 7), ("off", 1, None, None, None)],
        [],
        [("on", 1, None, 1, 4), ("off", 0, 2, 9, 9)],
    ]

    assert combined(lists, columns, combine) == [("on", 3, 5, 1, 7), ("off", 1, 2, 9, 9)]
    assert combined([[], []], columns, combine) == []


@given(lists=st.lists(st.lists(st.integers(), min_size=1), min_size=1))
def test_figures_of_parts_combine_to_figures_of_the_whole(lists: list[list[int]]) -> None:
    figures = [[(len(part), sum(part), min(part), max(part))] for part in lists]
    ways = {"n": Combine.COUNT, "s": Combine.SUM, "a": Combine.MIN, "z": Combine.MAX}
    every = [one for part in lists for one in part]

    assert combined(figures, ("n", "s", "a", "z"), ways) == [(len(every), sum(every), min(every), max(every))]


class Thing(NamedTuple):
    name: str
    size: int


@pytest.mark.parametrize("order", [(), (OrderBy("weight", int),), (OrderBy("name", bytes),)])
def test_a_query_without_a_sound_order_is_refused_where_it_is_declared(order: tuple[OrderBy, ...]) -> None:
    with pytest.raises(ValueError, match="order"):
        ShardQuery("things", "SELECT 1", Thing, order)


@pytest.mark.parametrize("combine", [{}, {"weight": Combine.SUM}])
def test_figures_that_are_none_of_the_rows_are_refused_where_they_are_declared(combine: dict[str, Combine]) -> None:
    with pytest.raises(ValueError, match="combine"):
        CombinedQuery("things", "SELECT 1", Thing, combine)
