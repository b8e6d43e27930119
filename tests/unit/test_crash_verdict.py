"""What the crash suite would find, were it there."""

from typing import Any

import pytest

from tests.cluster.chaos.verdict import Delivered, Effect, Evidence, Sent, faults

A0, A1, B0 = Sent("a", 0, None, 100.0), Sent("a", 1, 500, 100.0), Sent("b", 0, None, 100.0)
WELL = Evidence(
    [A0, A1, B0],
    [
        Delivered(100.1, "a-0", False),
        Delivered(100.1, "b-0", False),
        Delivered(100.5, "a-1", False),
        Delivered(100.7, "a-1", True),
    ],
    [Effect(100.3, "a-0"), Effect(100.4, "b-0"), Effect(100.8, "a-1")],
    {},
    [],
    0,
    [],
    {0: 3.0},
)


# It delivers for half a minute more.
BUSY = WELL._replace(
    delivered=[*WELL.delivered, *(Delivered(101.0 + 0.1 * step, "b-0", True) for step in range(300))], clocks={0: 30.0}
)


# All of a key in one call; the second has to come again, and the third with it.
A2 = Sent("a", 2, None, 100.0)
RUN = WELL._replace(
    sent=[A0, A1, A2, B0],
    delivered=[
        *(Delivered(100.1, name, False, 0, "one") for name in ("a-0", "b-0", "a-1", "a-2")),
        *(Delivered(100.5, name, True, 0, "two") for name in ("a-1", "a-2")),
    ],
    effects=[Effect(100.3, "a-0"), Effect(100.3, "b-0"), Effect(100.7, "a-1"), Effect(100.7, "a-2")],
    key_run=3,
)
A0_1, B0_1, A1_1, A2_1, A1_2, A2_2 = RUN.delivered
DONE_BEFORE = [Effect(100.0, "a-0"), Effect(100.0, "b-0"), Effect(100.0, "a-1"), Effect(100.7, "a-2")]


def late(at: float, *, silent: tuple[float, float] = (0.0, 0.0), **changed: Any) -> Evidence:
    """``a-1`` comes so late, and the partition delivers others all the while, but not from here to there."""
    steps = [100.1 + 0.1 * step for step in range(round((at - 100.1) * 10))]
    others = [Delivered(moment, "b-0", True) for moment in steps if not silent[0] < moment < silent[1]]
    delivered = [*WELL.delivered[:2], *others, Delivered(at, "a-1", False)]
    return WELL._replace(delivered=delivered, **{"clocks": {0: 100.0}, **changed})


@pytest.mark.parametrize(
    ("evidence", "word"),
    [
        (WELL._replace(effects=WELL.effects[1:]), "never handled"),
        (WELL._replace(sent=[A0._replace(confirmed_at=None), A1, B0]), "never confirmed"),
        (WELL._replace(expired={"b-0": 100.2}), "no time to live"),
        (WELL._replace(effects=[*WELL.effects, Effect(100.9, "a-1")]), "2 times"),
        (WELL._replace(sent=[A0, A1]), "never sent"),
        (WELL._replace(effects=[Effect(100.6, "a-0"), *WELL.effects[1:]]), "before one that came ahead"),
        (WELL._replace(delivered=[*WELL.delivered, Delivered(100.9, "a-0", False)]), "not said to be"),
        (WELL._replace(expired={"a-1": 100.6}), "found expired"),
        (late(102.6), "after its expiry"),
        (late(105.6, silent=(101.0, 103.0)), "after its expiry"),
        (late(102.9, crashes=[(98.0, 99.9)]), "after its expiry"),
        (late(103.2, crashes=[(98.0, 100.2)]), "after its expiry"),
        (BUSY._replace(clocks={0: 20.0}), "age clock"),
        (
            RUN._replace(delivered=[A0_1, B0_1, A2_1, A1_1, A2_2], effects=DONE_BEFORE),
            "behind a later one, in one call",
        ),
        # The third without the second, which is still to be done.
        (RUN._replace(delivered=[A0_1, B0_1, A2_1, A1_2, A2_2]), "before one that came ahead"),
        (RUN._replace(delivered=[A0_1, B0_1, A1_1, A2_1, A2_2._replace(batch="three"), A1_2]), "before one that came"),
        (RUN._replace(effects=[*RUN.effects[:2], RUN.effects[3], RUN.effects[2]]), "after a later one of its key"),
        (RUN._replace(key_run=2), "2 are allowed"),
        (WELL._replace(key_run=2), "nothing is shown of runs"),
        (WELL._replace(other_ends=["a-0"]), "dead-letter"),
        (WELL._replace(waiting=3), "3 messages still wait"),
    ],
)
def test_every_fault_is_found(evidence: Evidence, word: str) -> None:
    found = faults(evidence)

    assert found
    assert all(word in one for one in found)


@pytest.mark.parametrize(
    "evidence",
    [
        WELL,
        WELL._replace(effects=WELL.effects[:2], delivered=WELL.delivered[:2], expired={"a-1": 100.6}),
        late(102.0),
        late(104.0, silent=(101.0, 103.2)),
        late(102.5, crashes=[(98.0, 100.2)]),
        late(102.8, crashes=[(98.0, 100.2), (101.0, 101.1)]),
        RUN,
        # The second had expired meanwhile.
        RUN._replace(
            delivered=[A0_1, B0_1, A1_1, A2_1, A2_2], effects=[*RUN.effects[:2], RUN.effects[3]], expired={"a-1": 100.4}
        ),
        BUSY,
        BUSY._replace(clocks={0: 27.0}, crashes=[(105.0, 105.5)]),
    ],
)
def test_what_is_well_is_found_so(evidence: Evidence) -> None:
    assert faults(evidence) == []
