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


def ended(error: SpazaError | None = None) -> UnitOutcome:
    return UnitOutcome(None, (), error)


def test_a_shard_that_did_not_answer_is_refused_and_its_neighbours_are_not() -> None:
    for silence in (UnitTimeoutError("u", 1), ShardUnavailableError(1, "down"), CommitUnknownError(1, "lost")):
        guard = ShardGuard()
        guard.note([(1, ended(silence)), (2, ended())], 10.0)

        admitted = guard.admit({1, 2, 3}, 10.1)

        assert [*admitted.refused] == [1]
        assert type(admitted.refused[1]) is ShardUnavailableError
        assert admitted.probes == ()


def test_after_a_pause_it_is_probed_once_and_goes_on_when_that_went_well() -> None:
    guard = ShardGuard()
    guard.note([(1, ended(UnitTimeoutError("u", 1)))], 10.0)

    probed = [guard.admit({1}, now).probes for now in (10.4, 10.5, 10.6)]
    guard.note([(1, ended())], 10.7)

    assert probed == [(), (1,), ()]
    assert guard.admit({1}, 10.7).refused == {}


def test_a_shard_that_answered_one_of_a_calls_units_is_not_silent() -> None:
    for answer in (None, UnitFailedError("u", "23505", "x"), OverloadedError(1, 0.1)):
        guard = ShardGuard()
        guard.note([(1, ended(UnitTimeoutError("u", 1))), (1, ended(answer))], 10.0)

        assert guard.admit({1}, 10.1).refused == {}
