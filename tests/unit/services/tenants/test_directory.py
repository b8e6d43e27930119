import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest

from actors.shards.errors import ShardUnavailableError
from actors.shards.placement import shard_of
from actors.shards.unit import UnitCall, UnitOutcome
from services.tenants.directory import DirectoryPolicy, Tenant, TenantDirectory
from services.tenants.errors import DirectoryUnavailableError
from services.tenants.store import FIND_PHONES, FIND_PLACEMENTS, PhoneRow, PlacementRow, ProfileRow


class FakeShards:
    """Rows in memory, found only on the shard where they belong."""

    def __init__(self) -> None:
        self.phones: dict[str, str] = {}
        self.placed: dict[str, int] = {}
        self.down: set[int] = set()
        self.asked: Counter[str] = Counter()
        self.gate: asyncio.Event | None = None

    def add(self, phone_number_id: str, tenant_id: str, *, shard: int = 5) -> None:
        self.phones[phone_number_id] = tenant_id
        self.placed[tenant_id] = shard

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        if self.gate is not None:
            await self.gate.wait()
        return [self._one(call) for call in calls]

    def _one(self, call: UnitCall) -> UnitOutcome:
        self.asked[call.name] += 1
        if call.shard in self.down:
            return UnitOutcome(None, (), ShardUnavailableError(call.shard, "down"))
        return UnitOutcome(self._value(call), (), None)

    def _value(self, call: UnitCall) -> Any:
        if call.name == FIND_PHONES:
            assert all(shard_of(number) == call.shard for number in call.arguments)
            return [PhoneRow(n, self.phones[n], f"+{n}") for n in call.arguments if n in self.phones]
        if call.name == FIND_PLACEMENTS:
            assert all(shard_of(tenant) == call.shard for tenant in call.arguments)
            return [
                PlacementRow(t, f"name {t}", self.placed[t], 1, "active", None, None)
                for t in call.arguments
                if t in self.placed
            ]
        assert call.shard == self.placed[call.tenant_id]
        return ProfileRow(1.0, 2.0, "sealed", None, None)


class InMemorySharedCache:
    def __init__(self) -> None:
        self.kept: dict[str, Tenant | None] = {}

    async def get(self, phone_number_ids: Sequence[str]) -> Mapping[str, Tenant | None]:
        return {number: self.kept[number] for number in phone_number_ids if number in self.kept}

    async def put(self, tenants: Mapping[str, Tenant | None]) -> None:
        self.kept.update(tenants)

    async def forget(self, phone_number_ids: Collection[str]) -> None:
        for number in phone_number_ids:
            self.kept.pop(number, None)


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_number_leads_to_its_tenant_and_where_it_lives() -> None:
    shards = FakeShards()
    shards.add("111", "a", shard=7)

    tenant = await TenantDirectory(shards).by_phone("111")

    assert tenant is not None
    assert (tenant.tenant_id, tenant.shard, tenant.phone_number_id, tenant.name) == ("a", 7, "111", "name a")


async def test_a_number_of_nobody_is_none_and_every_number_asked_for_is_answered() -> None:
    shards = FakeShards()
    shards.add("111", "a")

    found = await TenantDirectory(shards).by_phones(["111", "222", "111"])

    assert set(found) == {"111", "222"}
    assert found["222"] is None


async def test_a_tenant_that_is_still_being_made_is_not_there() -> None:
    shards = FakeShards()
    shards.phones["111"] = "a"

    assert await TenantDirectory(shards).by_phone("111") is None


async def test_a_found_tenant_is_kept_for_its_time_and_then_read_again() -> None:
    shards, clock = FakeShards(), FakeClock()
    shards.add("111", "a")
    directory = TenantDirectory(shards, clock=clock)

    await directory.by_phone("111")
    clock.now += 59.9
    await directory.by_phone("111")
    assert shards.asked[FIND_PHONES] == 1

    clock.now += 0.2
    await directory.by_phone("111")
    assert shards.asked[FIND_PHONES] == 2


async def test_that_a_number_is_nobodys_is_kept_for_a_shorter_time() -> None:
    shards, clock = FakeShards(), FakeClock()
    directory = TenantDirectory(shards, clock=clock)
    assert await directory.by_phone("111") is None

    shards.add("111", "a")
    clock.now += 5.1

    assert await directory.by_phone("111") is not None


async def test_only_so_many_are_kept_and_the_least_used_goes_first() -> None:
    shards = FakeShards()
    directory = TenantDirectory(shards, policy=DirectoryPolicy(local_size=2))
    for number in ("1", "2"):
        await directory.by_phone(number)
    await directory.by_phone("1")

    await directory.by_phone("3")

    asked = shards.asked[FIND_PHONES]
    await directory.by_phones(["1", "3"])
    assert shards.asked[FIND_PHONES] == asked
    await directory.by_phone("2")
    assert shards.asked[FIND_PHONES] == asked + 1


async def test_many_who_ask_at_once_cause_one_look_up() -> None:
    shards = FakeShards()
    shards.add("111", "a")
    shards.gate = asyncio.Event()
    directory = TenantDirectory(shards)

    waiters = [asyncio.create_task(directory.by_phones(["111"])) for _ in range(20)]
    await asyncio.sleep(0)
    shards.gate.set()
    answers = await asyncio.gather(*waiters)

    assert shards.asked[FIND_PHONES] == 1
    assert all(answer["111"] is not None for answer in answers)


async def test_one_who_gives_up_does_not_end_the_look_up_of_the_others() -> None:
    shards = FakeShards()
    shards.add("111", "a")
    shards.gate = asyncio.Event()
    directory = TenantDirectory(shards)
    first, second = (asyncio.create_task(directory.by_phone("111")) for _ in range(2))
    await asyncio.sleep(0)

    first.cancel()
    await asyncio.sleep(0)
    shards.gate.set()

    assert await second is not None
    assert first.cancelled()


async def test_what_could_not_be_looked_up_is_not_taken_for_nobody_and_the_rest_is_carried() -> None:
    shards = FakeShards()
    shards.add("111", "a")
    shards.add("222", "b")
    shards.down = {shard_of("222")}
    assert shard_of("111") != shard_of("222")
    directory = TenantDirectory(shards)

    with pytest.raises(DirectoryUnavailableError) as caught:
        await directory.by_phones(["111", "222"])

    assert caught.value.missing == frozenset({"222"})
    assert caught.value.found["111"] is not None
    shards.down = set()
    assert await directory.by_phone("222") is not None


@pytest.mark.parametrize("step", ["placement", "profile"])
async def test_a_tenant_whose_own_shard_is_away_is_not_taken_for_nobody(step: str) -> None:
    shards = FakeShards()
    shards.add("111", "a", shard=9)
    shards.down = {shard_of("a") if step == "placement" else 9}
    assert shard_of("111") not in shards.down

    with pytest.raises(DirectoryUnavailableError):
        await TenantDirectory(shards).by_phone("111")


async def test_what_another_process_found_is_not_read_from_the_shards() -> None:
    shards, shared = FakeShards(), InMemorySharedCache()
    shards.add("111", "a")
    await TenantDirectory(shards, shared).by_phones(["111", "222"])
    asked = shards.asked[FIND_PHONES]

    found = await TenantDirectory(shards, shared).by_phones(["111", "222"])

    assert shards.asked[FIND_PHONES] == asked
    assert found["111"] is not None
    assert found["222"] is None


async def test_what_is_forgotten_is_read_again() -> None:
    shards, shared = FakeShards(), InMemorySharedCache()
    directory = TenantDirectory(shards, shared)
    assert await directory.by_phone("111") is None
    shards.add("111", "a")

    await directory.forget(["111"])

    assert await directory.by_phone("111") is not None
