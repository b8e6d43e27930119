"""Which seqs were settled lately: as a set of them would say, in a hundredth of its room."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from actors.mailbox.lately import REMEMBERED_S, Lately

FIRST = 1_000_000
SEQS = st.sets(st.integers(min_value=0, max_value=2_000) | st.integers(min_value=0, max_value=(1 << 63) - 1))


@given(noted=SEQS, asked=SEQS)
def test_it_knows_those_that_were_noted_and_no_other(noted: set[int], asked: set[int]) -> None:
    lately = Lately()
    for seq in noted:
        lately.note(seq, 1.0)
        lately.note(seq, 1.0)

    assert {seq for seq in noted | asked if seq in lately} == noted


def test_a_seq_is_remembered_for_a_minute_and_forgotten_after_the_next() -> None:
    lately = Lately()
    lately.note(1, 1_000.0)
    lately.note(2, 1_000.0 + REMEMBERED_S)

    lately.note(300, 1_001.0 + REMEMBERED_S)
    assert all(seq in lately for seq in (1, 2, 300))

    lately.note(3, 1_002.0 + 2 * REMEMBERED_S)
    assert [seq for seq in (1, 2, 3, 300) if seq in lately] == [3, 300]


def test_a_backlog_that_is_drained_leaves_hardly_anything_behind() -> None:
    lately = Lately()
    tracemalloc.start()
    try:
        for seq in range(FIRST, FIRST + 100_000):
            lately.note(seq, 1.0)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 100_000
    assert FIRST in lately
    assert FIRST + 100_000 not in lately
