from collections.abc import Sequence

from actors.shards.chores import Chores
from actors.shards.errors import ShardUnavailableError
from actors.shards.unit import UnitCall, UnitOutcome


class FakePools:
    """Answers for all shards but those that are away."""

    def __init__(self, *away: int) -> None:
        self._away = away
        self.calls: list[list[tuple[str, int, str]]] = []

    async def run(self, calls: Sequence[UnitCall], _timeout_s: float) -> list[UnitOutcome]:
        self.calls.append([(call.name, call.shard, call.tenant_id) for call in calls])
        return [
            UnitOutcome(None, (), ShardUnavailableError(call.shard, "away") if call.shard in self._away else None)
            for call in calls
        ]


async def test_every_shard_gets_every_chore_as_a_system_unit_one_shard_after_the_other() -> None:
    pools = FakePools()

    assert await Chores(pools.run, [3, 4], ["a", "b"]).once()

    assert pools.calls == [[("a", 3, ""), ("b", 3, "")], [("a", 4, ""), ("b", 4, "")]]


async def test_a_shard_that_is_away_does_not_keep_the_others_waiting_and_is_told_of() -> None:
    pools = FakePools(3)

    assert not await Chores(pools.run, [3, 4], ["a"]).once()

    assert pools.calls == [[("a", 3, "")], [("a", 4, "")]]


async def test_who_has_no_chores_is_done_at_once() -> None:
    pools = FakePools()

    await Chores(pools.run, [3], []).run()

    assert pools.calls == []
