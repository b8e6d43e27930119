"""Whose turn it is."""

from itertools import islice

from actors.mailbox.lane import Entry, History, KeyLane
from actors.mailbox.message import Message
from actors.mailbox.turns import Turns, rank_of


def lane(key: str, tenant: str = "t", *ranks: float) -> KeyLane:
    made = KeyLane(key)
    for seq, rank in enumerate(ranks or (0.0,)):
        message = Message(f"{key}{seq}", key, tenant, b"", {}, 0.0)
        made.append(Entry(0, seq, message, History(), made), rank)
    return made


def keys(turns: Turns, most: int = 1_000) -> list[str]:
    return [one.key for one in islice(iter(turns.next, None), most)]


def test_tenants_share_turns_by_their_weight() -> None:
    turns = Turns({"a": 3})
    for tenant in ("a", "b", "c"):
        for number in range(9):
            turns.add(lane(f"{tenant}{number}", tenant))

    assert "".join(key[0] for key in keys(turns, 15)) == "aaabcaaabcaaabc"


def test_a_flood_delays_a_single_message_by_no_more_than_its_weight() -> None:
    turns = Turns({"flood": 5})
    for number in range(10_000):
        turns.add(lane(str(number), "flood"))
    keys(turns, 7)
    turns.add(lane("single", "other"))

    assert "single" in keys(turns, 4)


def test_the_most_urgent_key_goes_first_whichever_of_its_messages_is_urgent() -> None:
    turns = Turns({})
    turns.add(lane("low", "t", 5.0))
    turns.add(lane("behind", "t", 9.0, -3.0))
    turns.add(lane("high", "t", 0.0))

    assert keys(turns) == ["behind", "high", "low"]


def test_a_key_in_line_that_becomes_urgent_moves_up_and_back_when_that_has_gone() -> None:
    turns = Turns({})
    first, second = lane("first", "t", 1.0), lane("second", "t", 2.0)
    for one in (first, second):
        turns.add(one)
    second.append(urgent := Entry(0, 9, second.head.message, History(), second), -1.0)
    turns.hurry(second)
    assert turns.next() is second

    turns.add(second)
    urgent.gone = True
    assert turns.next() is first


def test_a_key_that_is_taken_out_of_line_is_not_given() -> None:
    turns = Turns({})
    gone, kept = lane("gone"), lane("kept")
    turns.add(gone)
    turns.add(kept)
    turns.remove(gone)

    assert len(turns) == 1
    assert keys(turns) == ["kept"]
    turns.add(gone)
    assert keys(turns) == ["gone"]


def test_who_waits_a_step_longer_counts_as_one_priority_higher() -> None:
    assert rank_of(5, 0.0, 10.0) < rank_of(5, 1.0, 10.0), "among equals who came first"
    assert rank_of(6, 9.9, 10.0) < rank_of(5, 0.0, 10.0), "the higher one, though it came later"
    assert rank_of(5, 0.0, 10.0) < rank_of(6, 10.1, 10.0), "but not for ever"


def test_a_key_that_cannot_go_costs_its_tenant_no_turn() -> None:
    turns = Turns({})
    for key, tenant in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        turns.add(lane(key, tenant))

    assert turns.next() is not None
    turns.refund()

    assert keys(turns) == ["a2", "b1"]
