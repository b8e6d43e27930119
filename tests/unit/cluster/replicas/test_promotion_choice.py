"""Which standby becomes the primary."""

import pytest

from cluster.errors import PromotionRefusedError
from cluster.replicas.choice import Asked, chosen, position, position_text


def asked(number: int, received: int | None, *, strayed: bool = False, reading: bool = False) -> Asked:
    reason = "" if received is not None else "no answer"
    return Asked(number, f"PostgreSQL {number}", received, reason, strayed, reading)


@pytest.mark.parametrize(
    ("positions", "best"),
    [
        ({2: 100, 3: 200}, 3),
        ({2: 200, 3: 100}, 2),
        # All that one of them has the other has too.
        ({2: 200, 3: 200}, 2),
        ({2: 0}, 2),
    ],
)
def test_the_one_with_the_highest_received_position_is_chosen(positions: dict[int, int], best: int) -> None:
    assert chosen([asked(*one) for one in positions.items()], force=False).number == best


def test_one_that_cannot_be_asked_may_have_more_than_all_others_so_it_takes_force() -> None:
    standbys = [asked(2, 100), asked(3, None)]

    with pytest.raises(PromotionRefusedError, match=r"PostgreSQL 3: no answer.*--force"):
        chosen(standbys, force=False)
    assert chosen(standbys, force=True).number == 2


@pytest.mark.parametrize("force", [False, True])
def test_nothing_is_promoted_where_there_is_nobody_or_nobody_answers(force: bool) -> None:
    with pytest.raises(PromotionRefusedError, match="no standby"):
        chosen([], force=force)
    with pytest.raises(PromotionRefusedError, match="no standby can be asked"):
        chosen([asked(2, None), asked(3, None)], force=force)


def test_a_position_in_another_log_counts_only_where_there_is_no_other_and_it_is_forced() -> None:
    astray, following = asked(2, 900, strayed=True), asked(3, 100)

    assert chosen([astray, following], force=True).number == 3
    with pytest.raises(PromotionRefusedError, match="has not followed"):
        chosen([astray, following], force=False)
    assert chosen([astray], force=True).number == 2


def test_one_that_still_reads_its_own_disk_has_more_than_it_says_so_it_takes_force() -> None:
    behind, reading = asked(2, 1_500), asked(3, 1_215, reading=True)

    with pytest.raises(PromotionRefusedError, match=r"PostgreSQL 3: it still reads .*--force"):
        chosen([behind, reading], force=False)
    with pytest.raises(PromotionRefusedError, match=r"PostgreSQL 3: it still reads"):
        chosen([reading], force=False)
    assert chosen([behind, reading], force=True).number == 2
    # Rather one that reads on than one that has another log.
    assert chosen([asked(2, 9_000, strayed=True), reading], force=True).number == 3


@pytest.mark.parametrize(
    ("before", "said", "settled"),
    [
        (None, asked(2, 100), False),
        (asked(2, 90), asked(2, 100), False),
        (asked(2, 100), asked(2, 100), True),
        # However long it stands still: a slow disk, a check point, a query that it waits for.
        (asked(2, 100, reading=True), asked(2, 100, reading=True), False),
        (asked(2, 100, reading=True), asked(2, 100), True),
        (asked(2, 100), asked(2, None), True),
    ],
)
def test_a_position_is_settled_when_it_stands_still_and_all_of_the_disk_was_read(
    before: Asked | None, said: Asked, settled: bool
) -> None:
    assert said.is_settled(before) is settled


@pytest.mark.parametrize(("text", "in_bytes"), [("0/0", 0), ("0/3000148", 0x3000148), ("1A/FF", (0x1A << 32) + 0xFF)])
def test_a_position_is_read_and_written_as_postgresql_does(text: str, in_bytes: int) -> None:
    assert position(text) == in_bytes
    assert position_text(in_bytes) == text
