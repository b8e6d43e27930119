"""Connections are shared fairly among tenants, by the time for which their units hold them."""

from collections import Counter
from typing import NamedTuple

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


def test_one_tenant_leaves_a_connection_to_others_and_one_call_leaves_one_to_its_tenants_others() -> None:
    queue = filled(4, *(Unit("a", 1, n) for n in range(10)))

    taken = [queue.take(0.001) for _ in range(4)]
    assert [unit is not None for unit in taken] == [True, True, False, False]
    queue.put(Unit("a", 2))
    assert queue.take(0.001) == Unit("a", 2)
    queue.put(Unit("a", 3))
    assert queue.take(0.001) is None
    queue.put(Unit("b", 4))
    assert queue.take(0.001) == Unit("b", 4)
    assert taken[0] is not None
    queue.done(taken[0], 0.001, 0.001)
    assert queue.take(0.001) is not None


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
def test_whatever_happens_nothing_is_lost_or_taken_twice_and_caps_hold(
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
            taken = queue.take(0.001)
            if taken is not None:
                waiting.remove(taken)
                held.append(taken)
            elif len(held) < connections:
                # Only who is at a cap waits while a connection is free.
                for unit in waiting:
                    of_party = [one for one in held if one.party == unit.party]
                    of_source = [one for one in of_party if one.source == unit.source]
                    assert len(of_party) >= max(1, connections - 1) or len(of_source) >= max(1, connections - 2)
        elif what == "done" and held:
            queue.done(held.pop(which % len(held)), 0.001, 0.002)
        elif what == "remove":
            # The very ones: equal is not the same.
            gone = [unit for unit in waiting if (unit.party, unit.source) == (party, which)][:1]
            queue.remove(gone)
            waiting -= set(gone)
        assert len(queue) == len(waiting)
        assert len(queue._line) <= 2 * queue.parties + 17
        assert all(sum(one.party == party for one in held) <= max(1, connections - 1) for party in "abc")
    for unit in held:
        queue.done(unit, 0.001, 0.001)
    assert set(run_all(queue)) == waiting
    assert queue.parties == 0
