"""Connections are shared fairly among tenants, by the time for which their units hold them."""

from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.shards.fair_queue import FairQueue


class Unit(NamedTuple):
    party: str
    source: int
    number: int = 0


def filled(connections: int, *units: Unit) -> FairQueue[Unit]:
    queue: FairQueue[Unit] = FairQueue(connections)
    for unit in units:
        queue.put(unit)
    return queue


def run_all(queue: FairQueue[Unit], cost_s: dict[str, float] | None = None, *, until_s: float = 1e9) -> list[Unit]:
    """With one connection, one after the other."""
    order, now = [], 0.0
    while now < until_s and (unit := queue.take(0.001)) is not None:
        used = (cost_s or {}).get(unit.party, 0.001)
        queue.done(unit, 0.001, used)
        now += used
        order.append(unit)
    return order


def test_a_single_unit_goes_before_the_rest_of_another_tenants_flood() -> None:
    queue = filled(1, *(Unit("flood", 1, n) for n in range(500)))
    begun = [queue.take(0.001) for _ in range(1)]
    queue.put(Unit("quiet", 2))
    assert begun[0] is not None
    queue.done(begun[0], 0.001, 0.001)

    order = run_all(queue)

    assert order.index(Unit("quiet", 2)) <= 1
    assert len(order) == 500


def test_floods_take_turns() -> None:
    order = run_all(filled(1, *(Unit(party, 1, n) for party in ("a", "b", "c") for n in range(30))))

    assert all({unit.party for unit in order[at : at + 3]} == {"a", "b", "c"} for at in range(0, 90, 3))


def test_a_tenant_with_slow_units_gets_the_same_time_and_not_the_same_number() -> None:
    queue = filled(1, *(Unit(party, 1, n) for party in ("slow", "quick") for n in range(5_000)))

    ran = Counter(unit.party for unit in run_all(queue, {"slow": 0.100, "quick": 0.001}, until_s=10.0))

    assert 0.8 < ran["slow"] * 100 / ran["quick"] < 1.25


def test_a_tenant_that_comes_anew_has_no_claim_to_the_time_before() -> None:
    queue = filled(1, *(Unit("old", 1, n) for n in range(200)))
    for _ in range(100):
        unit = queue.take(0.001)
        assert unit is not None
        queue.done(unit, 0.001, 0.001)
    for number in range(100):
        queue.put(Unit("new", 2, number))

    first = run_all(queue)[:40]

    assert 18 <= sum(unit.party == "new" for unit in first) <= 22


def hold_all_it_may(queue: FairQueue[Unit], party: str, source: int = 0) -> list[Unit]:
    """Put in more units than it may begin at once, and begin those that it may. With a source they are of one call."""
    for number in range(20):
        queue.put(Unit(party, source or 1_000 + number, number))
    begun: list[Unit] = []
    while (unit := queue.take(0.001)) is not None:
        assert unit.party == party
        begun.append(unit)
    return begun


@pytest.mark.parametrize(
    ("connections", "held"),
    [(1, [1, 0]), (2, [1, 1, 0]), (3, [2, 1, 0]), (4, [2, 1, 1, 0]), (5, [3, 1, 1, 0]), (10, [5, 3, 1, 1, 0])],
)
def test_each_that_comes_gets_half_of_what_the_others_have_left(connections: int, held: list[int]) -> None:
    queue: FairQueue[Unit] = FairQueue(connections)

    assert [len(hold_all_it_may(queue, f"tenant-{number}")) for number in range(len(held))] == held


@pytest.mark.parametrize(
    ("connections", "held"), [(1, [1, 0]), (2, [1, 0]), (3, [1, 1, 0]), (4, [1, 1, 0]), (6, [2, 1, 0]), (10, [3, 1, 1])]
)
def test_a_call_leaves_some_to_its_tenants_others_as_a_tenant_does_to_others(connections: int, held: list[int]) -> None:
    queue: FairQueue[Unit] = FairQueue(connections)

    assert [len(hold_all_it_may(queue, "a", call)) for call in range(1, len(held) + 1)] == held


@given(connections=st.integers(4, 12), steps=st.lists(st.integers(0, 12), max_size=60))
def test_two_tenants_whose_units_take_long_always_leave_a_connection_to_a_third(
    connections: int, steps: list[int]
) -> None:
    queue = filled(connections, *(Unit(party, call, call) for call in range(100) for party in "ab"))
    held: list[Unit] = []
    for step in steps:
        if step < len(held):
            queue.done(held.pop(step), 0.001, 5.0)
        while (taken := queue.take(0.001)) is not None:
            held.append(taken)
        third = Unit("third", 1)
        queue.put(third)
        assert queue.take(0.001) is third
        queue.done(third, 0.001, 0.001)


def test_what_slow_tenants_give_back_is_kept_for_those_that_hold_none() -> None:
    queue: FairQueue[Unit] = FairQueue(4)
    (first, *_), *_ = [hold_all_it_may(queue, party) for party in ("a", "b", "c")]
    queue.put(Unit("fourth", 1))
    assert queue.take(0.001) is None

    queue.done(first, 0.001, 5.0)
    fourth = queue.take(0.001)
    assert fourth == Unit("fourth", 1)
    queue.done(fourth, 0.001, 0.001)

    assert len(queue) > 50
    assert queue.take(0.001) is None


def test_one_that_ends_may_let_two_begin() -> None:
    queue = filled(4, *(Unit(party, call) for party in ("a", "b", "c") for call in (1, 2)))
    held = [queue.take(0.001) for _ in range(3)]
    assert [unit and unit.party for unit in held] == ["a", "b", "c"]
    assert not queue.has_next()
    assert held[1] is not None

    queue.done(held[1], 0.001, 5.0)

    assert queue.has_next()
    begun = [queue.take(0.001), queue.take(0.001)]
    assert Unit("b", 2) in begun
    assert None not in begun
    assert not queue.has_next()


def test_with_one_connection_everybody_gets_it() -> None:
    assert len(run_all(filled(1, Unit("a", 1), Unit("a", 1, 1), Unit("a", 2), Unit("b", 3)))) == 4


def test_the_order_within_a_call_is_kept_and_what_comes_again_comes_first() -> None:
    queue = filled(1, *(Unit("a", 1, n) for n in range(3)))
    first = queue.take(0.001)
    assert first is not None
    queue.done(first, 0.001, 0.001)
    queue.put(first, again=True)

    assert [unit.number for unit in run_all(queue)] == [0, 1, 2]


def test_calls_of_one_tenant_take_turns() -> None:
    order = run_all(filled(1, *(Unit("a", source, n) for source in (1, 2) for n in range(10))))

    assert [unit.source for unit in order[:6]] == [1, 2, 1, 2, 1, 2]


def test_what_was_removed_is_not_taken_and_its_party_is_forgotten() -> None:
    units = [Unit("a", 1, n) for n in range(4)]
    queue = filled(1, *units)

    queue.remove([units[0], units[2], Unit("b", 9)])

    assert len(queue) == 2
    assert [unit.number for unit in run_all(queue)] == [1, 3]
    assert (len(queue), queue.parties) == (0, 0)


def test_parties_that_come_and_go_while_nothing_is_taken_leave_nothing() -> None:
    queue = filled(2, *(Unit(f"stays-{n}", 1) for n in range(3)))

    for number in range(1_000):
        unit = Unit(f"tenant-{number}", number)
        queue.put(unit)
        queue.remove([unit])

    assert queue.parties == 3
    assert len(queue._line) <= 2 * 3 + 17
    assert len(run_all(queue)) == 3


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abc"), st.integers(0, 2)),
        st.tuples(st.just("take"), st.just(""), st.just(0)),
        st.tuples(st.just("done"), st.just(""), st.integers(0, 9)),
        st.tuples(st.just("remove"), st.sampled_from("abc"), st.integers(0, 2)),
    ),
    max_size=120,
)


@given(steps=STEPS, connections=st.integers(1, 5))
def test_whatever_happens_nothing_is_lost_or_taken_twice_and_no_connection_is_idle_that_one_may_have(
    steps: list[tuple[str, str, int]], connections: int
) -> None:
    queue: FairQueue[Unit] = FairQueue(connections)
    waiting: set[Unit] = set()
    held: list[Unit] = []
    for number, (what, party, which) in enumerate(steps):
        if what == "put":
            unit = Unit(party, which, number)
            queue.put(unit)
            waiting.add(unit)
        elif what == "take":
            has_next = queue.has_next()
            taken = queue.take(0.001)
            assert has_next == (taken is not None)
            if taken is not None:
                waiting.remove(taken)
                held.append(taken)
            elif len(held) < connections:
                # Only who has as many as are free waits while one is.
                free = connections - len(held)
                for unit in waiting:
                    of_party = [one for one in held if one.party == unit.party]
                    of_source = [one for one in of_party if one.source == unit.source]
                    assert len(of_party) + 2 * len(of_source) >= free
        elif what == "done" and held:
            queue.done(held.pop(which % len(held)), 0.001, 0.002)
        elif what == "remove":
            # The very ones: equal is not the same.
            gone = [unit for unit in waiting if (unit.party, unit.source) == (party, which)][:1]
            queue.remove(gone)
            waiting -= set(gone)
        assert len(queue) == len(waiting)
        assert len(queue._line) <= 2 * queue.parties + 17
        assert all(sum(one.party == party for one in held) <= (connections + 1) // 2 for party in "abc")
    for unit in held:
        queue.done(unit, 0.001, 0.001)
    assert set(run_all(queue)) == waiting
    assert queue.parties == 0
