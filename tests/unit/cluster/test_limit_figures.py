"""The figures of the rate limiters, added up."""

from typing import Any

from cluster.limit_figures import limit_totals


def windows(used: int) -> dict[str, Any]:
    return {"products": {"hour": {"limit": 5000, "used": used, "remaining": 5000 - used, "resets_at": "later"}}}


def figures(top: dict[str, Any], **more: int) -> dict[str, Any]:
    sums = dict.fromkeys(("checks", "admitted", "refused", "tenants", "counters", "unwritten"), 0)
    return {**sums, **more, "redis": {"writes": 2, "failed_writes": 0}, "top": top}


def test_all_are_added_up_and_the_busiest_tenants_of_all_are_named() -> None:
    first = figures({f"a{number}": windows(number) for number in range(8)}, checks=9, admitted=7, refused=2)
    second = figures({f"b{number}": windows(number + 4) for number in range(8)}, checks=1, admitted=1)

    whole = limit_totals({0: first, 1: second})

    assert (whole["checks"], whole["admitted"], whole["refused"]) == (10, 8, 2)
    assert whole["redis"] == {"writes": 4, "failed_writes": 0}
    assert list(whole["tenants_top"])[:4] == ["b7", "b6", "b5", "b4"]
    assert len(whole["tenants_top"]) == 10


def test_where_none_answers_there_is_nothing() -> None:
    assert limit_totals({})["tenants_top"] == {}
