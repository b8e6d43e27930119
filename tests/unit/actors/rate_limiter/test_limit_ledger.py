"""The counters of many tenants."""

from actors.rate_limiter.clock import Instant
from actors.rate_limiter.decision import Limits
from actors.rate_limiter.keys import Pair
from actors.rate_limiter.ledger import Check, Earlier, Ledger, StoredValue, Verdict
from actors.rate_limiter.window import Used

HOUR = 1_800_000_000
LIMITS = Limits(5, 50)
_NOTHING = Used()


def at(seconds: float) -> Instant:
    return Instant(HOUR + seconds, HOUR + seconds)


def check(tenant: str = "a", route: str = "products", cost: int = 1) -> Check:
    return Check(tenant, route, LIMITS, cost)


def begun(ledger: Ledger, one: Check, now: Instant, used: Used | None = _NOTHING) -> Verdict:
    if ledger.unknown([one]):
        ledger.begin(Earlier.of(one.pair, now), used, one.limits)
    return ledger.decide(one, now)


def test_a_tenant_goes_on_where_the_owner_before_has_stopped() -> None:
    ledger = Ledger(10)

    assert begun(ledger, check(), at(1), used=Used(4, 40)) == Verdict(1, 5, 41)
    assert begun(ledger, check(), at(2)) == Verdict(0, 5, 41)


def test_what_is_read_is_of_the_windows_for_which_it_was_asked() -> None:
    ledger, one = Ledger(10), check()
    ledger.begin(Earlier.of(one.pair, at(59)), Used(4, 40), one.limits)

    assert ledger.decide(one, at(60)) == Verdict(1, 1, 41)


def test_tenants_and_routes_are_counted_apart() -> None:
    ledger = Ledger(10)

    verdicts = [begun(ledger, check(*who), at(1)) for who in (("a", "x"), ("a", "y"), ("b", "x"), ("a", "x"))]

    assert [one.minute_used for one in verdicts] == [1, 1, 1, 2]
    assert ledger.tenants() == 2


def test_what_has_changed_is_written_once_under_both_keys_for_as_long_as_it_counts() -> None:
    ledger, one = Ledger(10), check()
    begun(ledger, one, at(10))
    ledger.decide(one, at(11))

    pairs = ledger.take_unwritten(10)

    assert ledger.values(pairs, at(12)) == [
        StoredValue(one.pair, 60, HOUR // 60, 2, 108.0),
        StoredValue(one.pair, 3600, HOUR // 3600, 2, 3648.0),
    ]
    assert ledger.unwritten == 0


def test_a_window_that_has_passed_is_not_written() -> None:
    ledger = Ledger(10)
    begun(ledger, check(), at(10))

    values = ledger.values(ledger.take_unwritten(10), at(70))

    assert [value.key for value in values] == [f"rate_limit:a:products:hour:{HOUR // 3600}"]


def test_a_refusal_and_a_question_that_takes_nothing_are_not_written() -> None:
    ledger = Ledger(10)

    begun(ledger, check(cost=0), at(1))
    begun(ledger, check(cost=6), at(1))

    assert ledger.unwritten == 0


def test_what_could_not_be_written_is_written_later() -> None:
    ledger = Ledger(10)
    begun(ledger, check("a"), at(1))
    begun(ledger, check("b"), at(1))

    taken = ledger.take_unwritten(1)
    ledger.still_unwritten(taken)

    assert sorted(ledger.take_unwritten(10)) == [Pair("a", "products"), Pair("b", "products")]


def test_what_was_counted_before_is_added_when_it_is_known() -> None:
    ledger, one = Ledger(10), check()
    begun(ledger, one, at(1), used=None)

    [earlier] = ledger.earlier_unknown(10, at(2))
    ledger.add_earlier({earlier: Used(3, 30)})

    assert ledger.decide(one, at(3)) == Verdict(1, 5, 32)
    assert ledger.earlier_unknown(10, at(3)) == []
    # And only once.
    ledger.add_earlier({earlier: Used(3, 30)})
    assert ledger.decide(one, at(3)) == Verdict(0, 5, 32)


def test_who_has_used_nothing_in_this_hour_is_forgotten() -> None:
    ledger = Ledger(10)
    begun(ledger, check("a"), at(1))
    begun(ledger, check("b"), at(3599))
    ledger.sweep(at(3599))
    assert len(ledger) == 2

    begun(ledger, check("b"), at(3601))
    ledger.sweep(at(3601))

    assert not ledger.unknown([check("b")])
    assert ledger.unknown([check("a")])
    assert ledger.unwritten == 1


def test_above_its_capacity_it_forgets_who_was_not_asked_for_longest() -> None:
    ledger = Ledger(2)
    for tenant in "abc":
        begun(ledger, check(tenant), at(1))
    ledger.take_unwritten(10)
    begun(ledger, check("a"), at(2))

    ledger.sweep(at(2))

    assert ledger.unknown([check("a"), check("b"), check("c")]) == {Pair("b", "products")}
    assert ledger.forgotten_unwritten == 0


def test_it_says_how_much_it_forgot_that_nobody_else_knew() -> None:
    ledger = Ledger(1)
    begun(ledger, check("a"), at(1))
    begun(ledger, check("b"), at(1), used=None)

    ledger.sweep(at(2))

    assert ledger.forgotten_unwritten == 1
    assert ledger.unwritten == len(ledger) == 1


def test_the_busiest_tenants_come_first_with_all_their_routes() -> None:
    ledger = Ledger(10)
    for who, cost in ((("a", "x"), 1), (("b", "x"), 2), (("b", "y"), 2), (("c", "x"), 3)):
        begun(ledger, check(*who, cost=cost), at(1))

    pairs = [pair for pair, _ in ledger.busiest(2, at(2))]

    assert pairs == [Pair("b", "x"), Pair("b", "y"), Pair("c", "x")]


def test_what_others_have_counted_is_counted_once_and_not_written_as_its_own() -> None:
    ledger, one = Ledger(10), check()
    begun(ledger, one, at(1), used=Used(3, 30, 1, 10))

    values = ledger.values(ledger.take_unwritten(10), at(1))
    assert [value.value for value in values] == [3, 21]
    for _ in range(2):
        ledger.hear(values, [2, 11])

    assert ledger.decide(check(cost=0), at(2)) == Verdict(0, 5, 32)
    assert not ledger.decide(one, at(2)).admitted
    # Of another minute it is nothing.
    assert ledger.decide(one, at(61)) == Verdict(1, 1, 33)
    ledger.hear(values, [4, 11])
    assert ledger.decide(check(cost=0), at(62)) == Verdict(0, 1, 33)


def test_what_is_in_doubt_is_asked_for_again_and_loses_nothing_that_is_not_written() -> None:
    ledger, one = Ledger(10), check()
    begun(ledger, one, at(1))
    ledger.doubt()
    assert ledger.unknown([one, check("b")]) == {one.pair, check("b").pair}

    # Its own two are not written yet, and others have counted two.
    ledger.decide(one, at(2))
    ledger.begin(Earlier.of(one.pair, at(2)), Used(2, 2, 2, 2), one.limits)

    assert ledger.unknown([one]) == set()
    assert ledger.decide(one, at(2)) == Verdict(1, 5, 5)


def test_what_is_in_doubt_and_cannot_be_asked_for_goes_on_as_it_was() -> None:
    ledger, one = Ledger(10), check()
    begun(ledger, one, at(1))
    ledger.doubt()

    ledger.begin(Earlier.of(one.pair, at(2)), None, one.limits)

    assert ledger.decide(one, at(2)) == Verdict(1, 2, 2)
    assert ledger.earlier_unknown(10, at(2)) == []
