"""Units that find their tenant gone go after it, and wait for one that is just being moved."""

from collections.abc import Callable, Sequence

from actors.shards.errors import ShardUnavailableError, TenantMovedError
from actors.shards.following import FIND_SHARDS, Following, FollowingPolicy
from actors.shards.placement import shard_of
from actors.shards.unit import UnitCall, UnitOutcome

TENANT, OTHER = "0" * 31 + "1", "0" * 31 + "2"
SOON = FollowingPolicy(patience_s=1.0, first_s=0.0, longest_s=0.0)


class Shards:
    """Tenants at some shards, of which the directory may know late."""

    def __init__(self, at: dict[str, int], known: Callable[[int], dict[str, int]]) -> None:
        self.at, self._known = at, known
        self.looks = 0
        self.ran: list[tuple[str, int]] = []

    async def run(self, calls: Sequence[UnitCall], _timeout_s: float) -> list[UnitOutcome]:
        return [self._one(call) for call in calls]

    def _one(self, call: UnitCall) -> UnitOutcome:
        if call.name == FIND_SHARDS:
            self.looks += 1
            known = self._known(self.looks)
            asked = [one for one in call.arguments if shard_of(one) == call.shard and one in known]
            return UnitOutcome({one: known[one] for one in asked}, (), None)
        if self.at.get(call.tenant_id) != call.shard:
            return UnitOutcome(None, (), TenantMovedError(call.tenant_id, call.shard))
        self.ran.append((call.tenant_id, call.shard))
        return UnitOutcome("done", (), None)


async def followed(shards: Shards, *calls: UnitCall) -> tuple[list[UnitOutcome], list[UnitOutcome]]:
    outcomes, answered = await shards.run(calls, 1.0), list[UnitOutcome]()
    await Following(shards.run, SOON).follow(calls, outcomes, 1.0, answered.extend)
    return outcomes, answered


async def test_a_unit_is_run_where_its_tenant_is_and_the_others_are_left_alone() -> None:
    shards = Shards({TENANT: 5, OTHER: 2}, lambda _: {TENANT: 5})

    outcomes, answered = await followed(shards, UnitCall("u", 2, OTHER, None), UnitCall("u", 1, TENANT, None))

    assert [one.value for one in outcomes] == ["done", "done"]
    assert shards.ran == [(OTHER, 2), (TENANT, 5)]
    assert answered == [outcomes[1]]


async def test_a_unit_waits_for_a_tenant_that_is_nowhere_for_a_moment() -> None:
    shards = Shards({}, lambda look: {TENANT: 1})

    def known(look: int) -> dict[str, int]:
        if look == 3:
            shards.at[TENANT] = 5
        return {TENANT: 1 if look < 3 else 5}

    shards._known = known

    outcomes, _ = await followed(shards, UnitCall("u", 1, TENANT, None))

    assert outcomes[0].value == "done"
    assert shards.looks == 3


async def test_one_that_is_nowhere_for_longer_is_said_to_be_moved() -> None:
    shards = Shards({}, lambda _: {TENANT: 1})

    outcomes, _ = await followed(shards, UnitCall("u", 1, TENANT, None))

    assert isinstance(outcomes[0].error, TenantMovedError)
    assert shards.looks > 1


async def test_one_that_nobody_has_placed_is_not_waited_for() -> None:
    shards = Shards({}, lambda _: {})

    outcomes, _ = await followed(shards, UnitCall("u", 1, TENANT, None))

    assert isinstance(outcomes[0].error, TenantMovedError)
    assert shards.looks == 1


async def test_other_errors_are_not_followed() -> None:
    outcome = UnitOutcome(None, (), ShardUnavailableError(1, "away"))
    outcomes = [outcome]

    await Following(Shards({}, lambda _: {}).run, SOON).follow([UnitCall("u", 1, TENANT, None)], outcomes, 1.0)

    assert outcomes == [outcome]
