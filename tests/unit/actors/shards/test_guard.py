import pytest

from actors.shards.errors import (
    CommitUnknownError,
    OverloadedError,
    ShardUnavailableError,
    UnitFailedError,
    UnitTimeoutError,
)
from actors.shards.guard import ShardGuard
from actors.shards.unit import UnitOutcome
from kernel.errors import SpazaError

SILENCES = (UnitTimeoutError("u", 1), ShardUnavailableError(1, "down"), CommitUnknownError(1, "lost"))


def ended(error: SpazaError | None = None) -> UnitOutcome:
    return UnitOutcome(None, (), error)


def silent_at(now: float) -> ShardGuard:
    guard = ShardGuard()
    guard.note([(1, ended(SILENCES[0]))], now)
    guard.probed(1, ended(SILENCES[0]), now)
    return guard


@pytest.mark.parametrize("silence", SILENCES)
def test_a_unit_without_an_answer_has_its_shard_probed_once_and_nobody_refused(silence: SpazaError) -> None:
    guard = ShardGuard()

    probes = [guard.note([(1, ended(silence)), (2, ended())], now) for now in (10.0, 10.1, 12.0)]

    assert probes == [(1,), (), ()]
    assert guard.admit({1, 2}, 10.2) == ({}, ())


@pytest.mark.parametrize("silence", SILENCES)
def test_a_shard_whose_probe_is_not_answered_is_refused_and_its_neighbours_are_not(silence: SpazaError) -> None:
    guard = ShardGuard()
    guard.note([(1, ended(UnitTimeoutError("u", 1)))], 10.0)
    guard.probed(1, ended(silence), 11.5)

    admitted = guard.admit({1, 2, 3}, 11.6)

    assert [*admitted.refused] == [1]
    assert type(admitted.refused[1]) is ShardUnavailableError
    assert admitted.probes == ()


def test_a_shard_whose_probe_is_answered_refuses_nobody_and_is_not_probed_again_at_once() -> None:
    for answer in (None, UnitFailedError("u", "23505", "x"), OverloadedError(1, 0.1)):
        guard = ShardGuard()
        guard.note([(1, ended(UnitTimeoutError("u", 1)))], 10.0)
        guard.probed(1, ended(answer), 10.1)

        assert guard.admit({1}, 10.2).refused == {}
        assert [guard.note([(1, ended(SILENCES[0]))], now) for now in (10.2, 10.7)] == [(), (1,)]


def test_a_probe_that_tells_nothing_is_followed_by_another() -> None:
    guard = ShardGuard()

    assert [guard.note([(1, ended(SILENCES[0]))], now) for now in (10.0, 14.9, 15.0)] == [(1,), (), (1,)]


def test_after_a_pause_it_is_probed_once_and_goes_on_when_that_went_well() -> None:
    guard = silent_at(10.0)

    probed = [guard.admit({1}, now).probes for now in (10.4, 10.5, 10.6)]
    guard.probed(1, ended(), 10.7)

    assert probed == [(), (1,), ()]
    assert guard.admit({1}, 10.7).refused == {}


def test_what_was_under_way_and_got_no_answer_changes_nothing_of_a_shard_that_is_left_alone() -> None:
    guard = silent_at(10.0)

    assert guard.note([(1, ended(SILENCES[0]))], 10.6) == ()
    assert guard.admit({1}, 10.6).probes == (1,)


def test_a_unit_that_was_under_way_and_got_an_answer_ends_the_refusals() -> None:
    guard = silent_at(10.0)
    guard.note([(1, ended())], 10.2)

    assert guard.admit({1}, 10.3).refused == {}


def test_a_shard_that_answered_one_of_a_calls_units_is_not_silent() -> None:
    for answer in (None, UnitFailedError("u", "23505", "x"), OverloadedError(1, 0.1)):
        guard = ShardGuard()

        assert guard.note([(1, ended(UnitTimeoutError("u", 1))), (1, ended(answer))], 10.0) == ()
