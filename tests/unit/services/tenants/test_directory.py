import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Generic, TypeVar

import pytest

from actors.rate_limiter.own_limits import OwnLimits
from actors.shards.errors import ShardUnavailableError
from actors.shards.placement import shard_of
from actors.shards.unit import UnitCall, UnitOutcome
from services.tenants.announcing import TenantChange
from services.tenants.directory import Credential, DirectoryPolicy, Tenant, TenantDirectory
from services.tenants.errors import CredentialUnavailableError, DirectoryUnavailableError
from services.tenants.store import (
    FIND_CREDENTIALS,
    FIND_PHONES,
    FIND_PLACEMENTS,
    NAMES_OF,
    CredentialRow,
    PhoneRow,
    PlacementRow,
    ProfileRow,
)


class FakeShards:
    """Rows in memory, found only on the shard where they belong."""

    def __init__(self) -> None:
        self.phones: dict[str, str] = {}
        self.placed: dict[str, int] = {}
        self.states: dict[str, str] = {}
        self.credentials: dict[str, CredentialRow] = {}
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
                PlacementRow(t, f"name {t}", self.placed[t], 1, self.states.get(t, "active"), 7, None, "{}")
                for t in call.arguments
                if t in self.placed
            ]
        if call.name == FIND_CREDENTIALS:
            assert all(shard_of(kid) == call.shard for kid in call.arguments)
            return [self.credentials[kid] for kid in call.arguments if kid in self.credentials]
        if call.name == NAMES_OF:
            numbers = [n for n, t in self.phones.items() if t == call.arguments and shard_of(n) == call.shard]
            kids = [k for k, row in self.credentials.items() if row.tenant_id == call.arguments]
            return numbers, [kid for kid in kids if shard_of(kid) == call.shard]
        assert call.shard == self.placed[call.tenant_id]
        return ProfileRow(1.0, 2.0, "sealed", None, None)


V = TypeVar("V")


class InMemoryEntries(Generic[V]):
    def __init__(self) -> None:
        self.kept: dict[str, V | None] = {}
        self.away = False

    async def get(self, keys: Sequence[str]) -> Mapping[str, V | None]:
        return {key: self.kept[key] for key in keys if key in self.kept}

    async def put(self, values: Mapping[str, V | None]) -> None:
        self.kept.update(values)

    async def forget(self, keys: Collection[str]) -> bool:
        if self.away:
            return False
        for key in keys:
            self.kept.pop(key, None)
        return True


class InMemorySharedCache(InMemoryEntries[Tenant]):
    def __init__(self) -> None:
        super().__init__()
        self.credentials: InMemoryEntries[Credential] = InMemoryEntries()


class InMemoryBus:
    """Tells all who listen at once, as long as it is up, which it is after so many tries in vain."""

    noticed_s = 60.0

    def __init__(self, *, vain: int = 0) -> None:
        self.vain = vain
        self.listeners: list[tuple[Callable[[TenantChange], None], Callable[[], None], Callable[[], None]]] = []
        self.up = True

    def listen(
        self, heard: Callable[[TenantChange], None], *, began: Callable[[], None], lost: Callable[[], None]
    ) -> None:
        self.listeners.append((heard, began, lost))
        if self.up:
            began()

    async def say(self, change: TenantChange) -> bool:
        if self.vain:
            self.vain -= 1
            return False
        for heard, _, _ in self.listeners if self.up else ():
            heard(change)
        return self.up

    def breaks(self) -> None:
        self.up = False
        for _, _, lost in self.listeners:
            lost()

    def mends(self) -> None:
        self.up = True
        for _, began, _ in self.listeners:
            began()


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
    for number in ("1", "2", "3"):
        shards.add(number, number)
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


KID = "a" * 31 + "1"


def _credential(tenant_id: str = "a", *, expires_at: float | None = None) -> CredentialRow:
    return CredentialRow(KID, tenant_id, "HS256", "sealed", expires_at, 0.0)


async def test_a_credential_leads_to_its_tenant_with_its_secret_sealed() -> None:
    shards = FakeShards()
    shards.add("111", "a", shard=7)
    shards.credentials[KID] = _credential()

    found = await TenantDirectory(shards, InMemorySharedCache()).by_credential(KID)

    assert found == Credential(KID, "a", "HS256", "sealed", None, 7, 1, "active", OwnLimits(7))
    assert found.is_served


@pytest.mark.parametrize("kid", [KID, "", "x" * 32, "../../etc", "a" * 5000])
async def test_a_credential_that_nobody_has_is_none(kid: str) -> None:
    assert await TenantDirectory(FakeShards()).by_credential(kid) is None


async def test_what_is_no_kid_of_ours_is_not_even_looked_up() -> None:
    shards = FakeShards()

    await TenantDirectory(shards).by_credential("made up")

    assert not shards.asked


async def test_a_credential_that_was_found_expires_at_its_time() -> None:
    shards, wall = FakeShards(), FakeClock()
    shards.add("111", "a")
    shards.credentials[KID] = _credential(expires_at=wall.now + 10)
    directory = TenantDirectory(shards, wall_clock=wall)
    assert await directory.by_credential(KID) is not None

    wall.now += 10

    assert await directory.by_credential(KID) is None


async def test_a_credential_whose_shard_is_away_is_not_taken_for_nobodys() -> None:
    shards = FakeShards()
    shards.down = {shard_of(KID)}

    with pytest.raises(CredentialUnavailableError):
        await TenantDirectory(shards).by_credential(KID)


@pytest.mark.parametrize("state", ["removing", "dropping", "removed"])
async def test_a_tenant_that_is_being_removed_is_nobody(state: str) -> None:
    shards = FakeShards()
    shards.add("111", "a")
    shards.credentials[KID] = _credential()
    shards.states["a"] = state
    directory = TenantDirectory(shards)

    assert await directory.by_phone("111") is None
    assert await directory.by_credential(KID) is None


async def test_a_suspended_tenant_is_found_and_says_so() -> None:
    shards = FakeShards()
    shards.add("111", "a")
    shards.credentials[KID] = _credential()
    shards.states["a"] = "suspended"
    directory = TenantDirectory(shards)

    found = [await directory.by_phone("111"), await directory.by_credential(KID)]

    assert [one is not None and one.is_served for one in found] == [False, False]


async def test_a_change_is_known_to_another_process_at_once() -> None:
    shards, shared, bus = FakeShards(), InMemorySharedCache(), InMemoryBus()
    shards.add("111", "a")
    shards.credentials[KID] = _credential()
    here, elsewhere = (TenantDirectory(shards, shared, bus=bus) for _ in range(2))
    assert await elsewhere.by_phone("111") is not None
    assert await elsewhere.by_credential(KID) is not None

    shards.states["a"] = "suspended"
    await here.forget_tenant("a")

    found = [await elsewhere.by_phone("111"), await elsewhere.by_credential(KID)]
    assert [one is not None and one.state for one in found] == ["suspended", "suspended"]


async def test_who_waits_for_a_change_to_be_known_goes_on_when_it_could_be_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.tenants.directory._AGAIN_S", 0.0)
    shards, bus = FakeShards(), InMemoryBus(vain=5)
    shards.add("111", "a")
    here, elsewhere = (TenantDirectory(shards, bus=bus) for _ in range(2))
    await elsewhere.by_phone("111")
    shards.states["a"] = "suspended"

    await here.forget_tenant("a", waits=True)

    tenant = await elsewhere.by_phone("111")
    assert (tenant is not None and tenant.is_served, bus.vain) == (False, 0)


async def test_a_change_of_a_tenant_is_known_under_numbers_that_were_not_named() -> None:
    shards, bus = FakeShards(), InMemoryBus()
    shards.add("111", "a")
    directory = TenantDirectory(shards, bus=bus)
    await directory.by_phone("111")

    shards.states["a"] = "suspended"
    await bus.say(TenantChange("a"))

    tenant = await directory.by_phone("111")
    assert tenant is not None
    assert not tenant.is_served


async def test_what_was_being_looked_up_during_a_change_is_kept_nowhere() -> None:
    shards, shared, bus = FakeShards(), InMemorySharedCache(), InMemoryBus()
    shards.add("111", "a")
    directory = TenantDirectory(shards, shared, bus=bus)
    await directory.by_phone("222")
    shards.gate = asyncio.Event()
    early = asyncio.create_task(directory.by_phone("111"))
    await asyncio.sleep(0)

    await bus.say(TenantChange("a", ("111",)))
    late = asyncio.create_task(directory.by_phone("111"))
    await asyncio.sleep(0)
    asked = shards.asked[FIND_PHONES]
    shards.gate.set()
    await asyncio.gather(early, late)

    assert shards.asked[FIND_PHONES] == asked + 2
    asked = shards.asked[FIND_PHONES]
    assert await directory.by_phone("111") is not None
    assert shards.asked[FIND_PHONES] == asked


async def test_all_that_is_kept_is_dropped_when_the_bus_is_lost_and_then_kept_for_moments() -> None:
    shards, bus, clock = FakeShards(), InMemoryBus(), FakeClock()
    shards.add("111", "a")
    directory = TenantDirectory(shards, bus=bus, clock=clock)
    await directory.by_phone("111")

    bus.breaks()
    await directory.by_phone("111")
    await directory.by_phone("111")
    assert shards.asked[FIND_PHONES] == 2
    clock.now += 2.1
    await directory.by_phone("111")
    assert shards.asked[FIND_PHONES] == 3
    bus.mends()
    await directory.by_phone("111")
    clock.now += 59
    await directory.by_phone("111")

    assert shards.asked[FIND_PHONES] == 4


async def test_a_change_that_could_not_be_said_is_said_again_until_it_is() -> None:
    shards, shared, bus = FakeShards(), InMemorySharedCache(), InMemoryBus()
    shards.add("111", "a")
    directory = TenantDirectory(shards, shared, bus=bus, policy=DirectoryPolicy(say_again_s=0.001))
    await directory.by_phone("111")
    shared.away = True
    shards.states["a"] = "suspended"

    await directory.forget(["111"], tenant_id="a")
    assert "111" in shared.kept
    shared.away = False
    async with asyncio.timeout(60.0):
        while "111" in shared.kept:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)

    tenant = await directory.by_phone("111")
    assert tenant is not None
    assert not tenant.is_served


async def test_what_is_found_first_is_there_for_all_though_listening_takes_a_moment_to_begin() -> None:
    shards, shared, bus = FakeShards(), InMemorySharedCache(), InMemoryBus()
    shards.add("111", "a")
    bus.up = False
    directory = TenantDirectory(shards, shared, bus=bus, policy=DirectoryPolicy(listens_s=60.0))

    finding = asyncio.ensure_future(directory.by_phone("111"))
    await asyncio.sleep(0)
    assert not finding.done()
    bus.mends()

    assert await finding is not None
    assert set(await shared.get(["111"])) == {"111"}


async def test_without_a_bus_that_begins_look_ups_wait_for_it_once() -> None:
    shards, bus = FakeShards(), InMemoryBus()
    shards.add("111", "a")
    bus.up = False
    directory = TenantDirectory(shards, bus=bus, policy=DirectoryPolicy(listens_s=0.001))

    assert await directory.by_phone("111") is not None

    async with asyncio.timeout(60.0):
        assert await directory.by_phone("111") is not None
    assert len(bus.listeners) == 1
