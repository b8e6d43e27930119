"""Messages that yield to those of other tenants."""

from itertools import islice

from actors.mailbox.lane import Entry, History, KeyLane
from actors.mailbox.message import YIELDS, Message
from actors.mailbox.turns import Turns


def lane(key: str, tenant: str, *, yields: bool = False) -> KeyLane:
    made = KeyLane(key)
    message = Message(key, key, tenant, b"", {YIELDS: 1} if yields else {}, 0.0)
    made.append(Entry(0, 0, message, History(), made), 0.0)
    return made


def keys(turns: Turns, most: int = 1_000) -> list[str]:
    return [one.key for one in islice(iter(turns.next, None), most)]


def test_what_yields_goes_after_all_others_but_for_one_turn_in_ten() -> None:
    turns = Turns({})
    for number in range(20):
        turns.add(lane(f"y{number}", "over", yields=True))
        turns.add(lane(f"a{number}", "a"))
        turns.add(lane(f"b{number}", "b"))

    order = "".join(key[0] for key in keys(turns))

    assert order[:20] == "ababababaybababababy"
    assert order[-16:] == "y" * 16
    assert len(order) == 60


def test_where_nobody_else_waits_it_loses_nothing() -> None:
    turns = Turns({})
    for number in range(3):
        turns.add(lane(str(number), "over", yields=True))

    assert keys(turns) == ["0", "1", "2"]
    assert len(turns) == 0


def test_what_a_tenant_was_allowed_does_not_wait_for_what_it_was_not() -> None:
    turns = Turns({})
    turns.add(lane("over", "t", yields=True))
    turns.add(lane("within", "t"))

    assert keys(turns) == ["within", "over"]


def test_those_who_yield_take_turns_among_themselves_by_weight() -> None:
    turns = Turns({"a": 2})
    for tenant in ("a", "b"):
        for number in range(4):
            turns.add(lane(f"{tenant}{number}", tenant, yields=True))

    assert "".join(key[0] for key in keys(turns, 6)) == "aabaab"


def test_a_turn_that_could_not_be_used_is_given_back_and_who_leaves_the_line_is_gone() -> None:
    turns = Turns({})
    first, second, third = (lane(key, tenant, yields=True) for key, tenant in (("1", "a"), ("2", "b"), ("3", "a")))
    for one in (first, second, third):
        turns.add(one)
    assert turns.next() is first
    turns.refund()
    turns.remove(second)

    assert keys(turns) == ["3"]
