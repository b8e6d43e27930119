import asyncio
from collections.abc import Sequence

from actors.shards.errors import CommitUnknownError, ShardUnavailableError
from actors.shards.unit import UnitCall, UnitOutcome
from services.notifications.recorder import Recorder, RecorderPolicy
from services.notifications.store import RecordArguments

_SHARDS = {"a" * 32: 3, "b" * 32: 4}
_SOON = RecorderPolicy(linger_s=0.001)
_NEVER = RecorderPolicy(linger_s=3600.0, most=2)


class _Shards:
    """Remembers what was run; fails for the tenants that it is told."""

    def __init__(self, *, away: frozenset[str] = frozenset()) -> None:
        self.runs: list[list[UnitCall]] = []
        self._away = away

    async def __call__(self, calls: Sequence[UnitCall]) -> list[UnitOutcome]:
        self.runs.append(list(calls))
        return [
            UnitOutcome(None, (), ShardUnavailableError(call.shard, "away") if call.tenant_id in self._away else None)
            for call in calls
        ]


def _accepted(*ids: str, now: float = 1.0) -> RecordArguments:
    return RecordArguments([(one, f"wamid.{one}") for one in ids], [], [], now)


async def test_what_several_batches_say_of_a_tenant_is_one_unit() -> None:
    # Given a recorder
    shards = _Shards()
    recorder = Recorder(shards, _SOON)

    # When two batches have something of the same tenant, and one of another's
    await asyncio.gather(
        recorder.record(_SHARDS, {"a" * 32: _accepted("1", "2")}),
        recorder.record(_SHARDS, {"a" * 32: _accepted("3", now=2.0), "b" * 32: _accepted("4")}),
    )

    # Then there is one unit for each tenant, with all of it in order
    [calls] = shards.runs
    assert [(call.tenant_id, call.shard) for call in calls] == [("a" * 32, 3), ("b" * 32, 4)]
    assert calls[0].arguments == _accepted("1", "2", "3", now=2.0)
    assert len(calls[0].locks) == 3


async def test_only_the_tenants_that_failed_are_said_to_be_lost() -> None:
    recorder = Recorder(_Shards(away=frozenset({"b" * 32})), _SOON)

    errors = await recorder.record(_SHARDS, {"a" * 32: _accepted("1"), "b" * 32: _accepted("2")})

    assert list(errors) == ["b" * 32]


async def test_many_do_not_wait() -> None:
    # Given a recorder that would linger for an hour, and at most two messages
    shards = _Shards()
    recorder = Recorder(shards, _NEVER)

    # When there are two
    first = asyncio.ensure_future(recorder.record(_SHARDS, {"a" * 32: _accepted("1")}))
    await asyncio.sleep(0)
    await recorder.record(_SHARDS, {"b" * 32: _accepted("2")})

    # Then both are written
    assert await first == {}
    assert len(shards.runs) == 1


async def test_nothing_to_record_runs_nothing() -> None:
    shards = _Shards()

    assert await Recorder(shards, _NEVER).record(_SHARDS, {}) == {}
    assert shards.runs == []


async def test_a_run_that_fails_as_a_whole_is_one_of_which_nobody_knows() -> None:
    async def broken(calls: Sequence[UnitCall]) -> list[UnitOutcome]:
        raise ConnectionError("no way to the shards")

    recorder = Recorder(broken, _SOON)

    results = await asyncio.gather(*(recorder.record(_SHARDS, {"a" * 32: _accepted(one)}) for one in "12"))

    assert [type(one["a" * 32]) for one in results] == [CommitUnknownError, CommitUnknownError]


async def test_one_who_has_gone_spoils_it_for_nobody() -> None:
    # Given two who record for one tenant, of whom one goes away
    shards = _Shards()
    recorder = Recorder(shards, _SOON)
    gone = asyncio.ensure_future(recorder.record(_SHARDS, {"a" * 32: _accepted("1")}))
    stays = asyncio.ensure_future(recorder.record(_SHARDS, {"a" * 32: _accepted("2")}))
    await asyncio.sleep(0)
    gone.cancel()

    # Then the other hears of it all the same, and both are written
    assert await stays == {}
    assert shards.runs[0][0].arguments == _accepted("1", "2")
