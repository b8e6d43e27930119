"""In which order the tables of a tenant are written."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.shards.moved_tables import MovedTable, changed_rows, in_order, put

NAMES = "abcdef"


@pytest.mark.parametrize(
    ("parents", "ordered"),
    [
        ({}, []),
        ({"b": [], "a": []}, ["a", "b"]),
        ({"a": ["b"], "b": ["c"], "c": []}, ["c", "b", "a"]),
        ({"a": ["a"]}, ["a"]),
        ({"a": ["elsewhere"]}, ["a"]),
    ],
)
def test_each_comes_behind_those_to_which_it_refers(parents: Mapping[str, list[str]], ordered: list[str]) -> None:
    assert in_order(dict(parents)) == ordered


@given(st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES))))
def test_every_name_comes_once_whatever_refers_to_what(parents: dict[str, list[str]]) -> None:
    assert sorted(in_order(dict(parents))) == sorted(parents)


@given(st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES))))
def test_without_a_circle_nothing_comes_before_what_it_refers_to(parents: dict[str, list[str]]) -> None:
    without = {name: [one for one in those if one > name and one in parents] for name, those in parents.items()}

    ordered = in_order(dict(without))

    assert all(ordered.index(one) < ordered.index(name) for name, those in without.items() for one in those)


def test_names_are_quoted_and_a_shared_table_gives_only_what_is_the_tenants() -> None:
    odd = MovedTable("tenant_1", 'a"b', ("order",), ("order",))
    shared = MovedTable("spaza", "inbound_message", ("id",), ("id",), shared=True)

    assert '"tenant_1"."a""b" ("order")' in put(odd, 0)
    assert "DO NOTHING" in put(odd, 0)
    assert "t.tenant_id = $1" in changed_rows(shared)
    assert "t.tenant_id" not in changed_rows(odd)
