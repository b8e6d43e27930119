"""CPU between two snapshots, and the kernel's account of memory."""

import pytest

from benchmarks.accounting import ProcessCpu, Snapshot, consumed, per_message_ms, pss_bytes


def taken(*processes: ProcessCpu) -> Snapshot:
    return {(process.pid, process.started_at): process for process in processes}


def process(pid: int, role: str, own_s: float, reaped_s: float = 0.0, parent: int = 1) -> ProcessCpu:
    return ProcessCpu(pid, 100.0 + pid, parent, role, own_s, reaped_s)


def test_what_a_process_used_before_the_first_snapshot_does_not_count() -> None:
    before = taken(process(10, "webhook", 5.0), process(11, "webhook", 1.0), process(12, "Redis", 3.0))
    after = taken(process(10, "webhook", 6.5), process(11, "webhook", 1.25), process(12, "Redis", 3.0))

    assert consumed(before, after) == {"webhook": 1.75, "Redis": 0.0}


def test_a_process_that_started_in_between_counts_in_full() -> None:
    before = taken(process(10, "PostgreSQL", 2.0))
    after = taken(process(10, "PostgreSQL", 2.0), process(11, "PostgreSQL", 0.5))

    assert consumed(before, after) == {"PostgreSQL": 0.5}


def test_a_process_that_ended_in_between_is_charged_through_the_parent_that_reaped_it() -> None:
    before = taken(process(10, "PostgreSQL", 2.0), process(11, "PostgreSQL", 4.0, parent=10))
    # It used 1.5 s more, all 5.5 s of it now stand with its parent.
    after = taken(process(10, "PostgreSQL", 2.0, reaped_s=5.5))

    assert consumed(before, after) == {"PostgreSQL": 1.5}


def test_a_process_number_used_again_is_another_process() -> None:
    before = taken(ProcessCpu(10, 100.0, 1, "worker", 9.0, 0.0))
    after = taken(ProcessCpu(10, 200.0, 1, "worker", 0.5, 0.0))

    assert consumed(before, after) == {"worker": 0.5}


def test_cpu_is_spread_over_the_messages_and_totalled() -> None:
    assert per_message_ms({"b": 3.0, "a": 1.0}, 2000) == {"a": 0.5, "b": 1.5, "total": 2.0}


@pytest.mark.parametrize(
    ("rollup", "expected"),
    [
        ("5581-7ffe ---p 00000000 00:00 0   [rollup]\nRss:  9000 kB\nPss:  1234 kB\nPss_Dirty:  99 kB\n", 1234 * 1024),
        ("", 0),  # a kernel thread has none
    ],
)
def test_proportional_memory_is_read_from_its_own_line(rollup: str, expected: int) -> None:
    assert pss_bytes(rollup) == expected
