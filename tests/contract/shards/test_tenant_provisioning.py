"""Tenants are made whole or not at all, once for one key, on real databases; a crash at any step is gone on from."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import orjson
import pytest

from actors.rate_limiter.own_limits import OwnLimits
from actors.shards.errors import MigrationFailedError, ShardUnavailableError
from actors.shards.placement import SHARDS, shard_of
from actors.shards.pool import ShardPools
from actors.shards.tenant_schema import TenantSchemas
from actors.shards.unit import UnitCall, UnitOutcome, registry
from kernel.identifiers import new_id
from services.catalog.schemas import Money, ProductSpec
from services.catalog.search import ShardProductSearch
from services.catalog.service import Catalog
from services.catalog.store import UNITS as CATALOG_UNITS
from services.tenants.directory import DirectoryPolicy, TenantDirectory
from services.tenants.errors import IdempotencyConflictError, PhoneNumberTakenError, TenantRefusedError
from services.tenants.schemas import Limits, ProvisionedTenant, TenantSpec
from services.tenants.sealing import Sealer, access_token_context, credential_context, payments_context
from services.tenants.service import TenantProvisioning
from services.tenants.store import UNITS as TENANT_UNITS
from tests.contract.shards.calls import PATIENCE_S, UNITS
from tests.contract.shards.conftest import MakePools, Shards
from tests.provisioned import schemas_of

NOTHING_KEPT = DirectoryPolicy(local_s=0, local_absent_s=0)


class CrashError(Exception):
    pass


class Runner:
    """Runs units on the pools, or crashes before or after one of the calls."""

    def __init__(self, pools: ShardPools, *, crash_at: int = -1, after: bool = False) -> None:
        self._pools, self._crash_at, self._after = pools, crash_at, after
        self.calls = 0

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        at, self.calls = self.calls, self.calls + 1
        if at == self._crash_at and not self._after:
            raise CrashError
        outcomes = await self._pools.run(calls, timeout_s)
        if at == self._crash_at:
            raise CrashError
        return outcomes


def _spec(*numbers: str, name: str = "Thandi's Spaza") -> TenantSpec:
    return TenantSpec.model_validate(
        {
            "name": name,
            "phone_numbers": [
                {"phone_number_id": number, "display_phone_number": "+27110000001"} for number in numbers
            ],
            "location": {"lat": -26.2485, "lon": 27.8540},
            "whatsapp": {"access_token": "sandbox-access-token", "waba_id": "200000000000001"},
            "payments": {"paystack": {"secret_key": "sk_test_1"}},
            "limits": {"minute": 7},
        }
    )


def _number() -> str:
    return str(int(new_id(), 16))[-15:]


@pytest.fixture
def pools(make_pools: MakePools) -> ShardPools:
    return make_pools(dict(registry(TENANT_UNITS, CATALOG_UNITS, UNITS)))


def _provisioning(shards: Shards, runner: Runner) -> TenantProvisioning:
    directory = TenantDirectory(runner, policy=NOTHING_KEPT)
    return TenantProvisioning(runner, TenantSchemas(shards.dsn), Sealer(shards.key), directory)


def _directory(pools: ShardPools) -> TenantDirectory:
    return TenantDirectory(Runner(pools), policy=NOTHING_KEPT)


async def _schemas_named(shards: Shards, tenant_ids: set[str]) -> int:
    total = 0
    for shard in {shard_of(tenant_id) for tenant_id in tenant_ids}:
        connection = await shards.as_owner(shard)
        names = [f"tenant_{tenant_id}" for tenant_id in tenant_ids]
        total += await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = ANY($1)", names)
        await connection.close()
    return total


async def test_a_tenant_is_found_by_each_of_its_numbers_with_all_that_was_said_of_it(
    shards: Shards, pools: ShardPools
) -> None:
    first, second = _number(), _number()

    made = await _provisioning(shards, Runner(pools)).provision(_spec(first, second), idempotency_key=new_id())

    found = await _directory(pools).by_phones([first, second])
    for number in (first, second):
        tenant = found[number]
        assert tenant is not None
        assert (tenant.tenant_id, tenant.shard, tenant.phone_number_id) == (made.tenant_id, made.shard_id, number)
        assert (tenant.name, tenant.latitude, tenant.longitude) == ("Thandi's Spaza", -26.2485, 27.8540)
        assert (tenant.waba_id, tenant.limits) == ("200000000000001", OwnLimits(7, None))
        assert tenant.display_phone_number == "+27110000001"
        context = access_token_context(tenant.tenant_id)
        assert Sealer(shards.key).unseal(tenant.access_token_sealed, context) == "sandbox-access-token"
    assert made.shard_id == shard_of(made.tenant_id)


async def test_the_same_request_again_and_at_once_makes_one_tenant(shards: Shards, pools: ShardPools) -> None:
    number, key = _number(), new_id()
    provisioning = _provisioning(shards, Runner(pools))

    at_once = await asyncio.gather(*(provisioning.provision(_spec(number), idempotency_key=key) for _ in range(4)))
    later = await provisioning.provision(_spec(number), idempotency_key=key)

    assert {made.tenant_id for made in at_once} == {later.tenant_id}
    secrets = {made.credential.secret.get_secret_value() for made in (*at_once, later) if made.credential is not None}
    assert len(secrets) == 1
    assert len(base64.b64decode(secrets.pop(), validate=True)) == 32


async def test_who_comes_late_makes_no_second_schema_where_the_tenant_has_moved_away(
    shards: Shards, pools: ShardPools
) -> None:
    number, key = _number(), new_id()
    made: list[ProvisionedTenant] = []

    class Overtaken(TenantSchemas):
        async def create(self, tenant_id: str, shard: int, wanted: Callable[[], Awaitable[bool]] | None = None) -> bool:
            made.append(await _provisioning(shards, Runner(pools)).provision(_spec(number), idempotency_key=key))
            moved = "UPDATE spaza.tenant_placement SET shard = $2, epoch = epoch + 1 WHERE tenant_id = $1"
            await _owners(shards, shard, moved, tenant_id, shard ^ 1)
            await _owners(shards, shard, f"DROP SCHEMA tenant_{tenant_id} CASCADE")
            return await super().create(tenant_id, shard, wanted)

    runner = Runner(pools)
    late = TenantProvisioning(
        runner, Overtaken(shards.dsn), Sealer(shards.key), TenantDirectory(runner, policy=NOTHING_KEPT)
    )
    made.append(await late.provision(_spec(number), idempotency_key=key))

    first, second = made
    assert (second.tenant_id, second.shard_id) == (first.tenant_id, first.shard_id ^ 1)
    assert await _schemas_named(shards, {first.tenant_id}) == 0


async def test_the_secret_is_found_sealed_under_its_kid_and_nowhere_in_plain_text(
    shards: Shards, pools: ShardPools
) -> None:
    made = await _provisioning(shards, Runner(pools)).provision(_spec(_number()), idempotency_key=new_id())

    assert made.credential is not None
    kid, secret = made.credential.kid, made.credential.secret.get_secret_value()
    found = await _directory(pools).by_credential(kid)
    assert found is not None
    assert (found.tenant_id, found.shard, found.algorithm) == (made.tenant_id, made.shard_id, "HS256")
    assert found.expires_at is None
    assert Sealer(shards.key).unseal(found.secret_sealed, credential_context(made.tenant_id, kid)) == secret
    assert secret not in repr(made)
    profile = await _owners(shards, made.shard_id, f"SELECT * FROM tenant_{made.tenant_id}.profile")
    sealed = profile[0]["paystack_sealed"]
    assert profile[0]["ozow_sealed"] is None
    context = payments_context(made.tenant_id, "paystack")
    assert orjson.loads(Sealer(shards.key).unseal(sealed, context)) == {"secret_key": "sk_test_1"}


async def test_after_a_day_the_same_request_makes_nothing_and_shows_no_secret_and_another_may_have_the_key(
    shards: Shards, pools: ShardPools
) -> None:
    number, key = _number(), new_id()
    provisioning = _provisioning(shards, Runner(pools))
    made = await provisioning.provision(_spec(number), idempotency_key=key)
    a_day_ago = "UPDATE spaza.tenant_request SET completed_at = now() - interval '25 hours' WHERE idempotency_key = $1"
    await _owners(shards, shard_of(key), a_day_ago, key)

    again = await provisioning.provision(_spec(number), idempotency_key=key)
    other = await provisioning.provision(_spec(_number()), idempotency_key=key)

    assert (again.tenant_id, again.credential) == (made.tenant_id, None)
    assert other.tenant_id != made.tenant_id
    assert other.credential is not None


async def test_a_key_that_was_used_for_something_else_is_refused(shards: Shards, pools: ShardPools) -> None:
    number, key = _number(), new_id()
    provisioning = _provisioning(shards, Runner(pools))
    await provisioning.provision(_spec(number), idempotency_key=key)

    with pytest.raises(IdempotencyConflictError):
        await provisioning.provision(_spec(number, name="Another"), idempotency_key=key)


async def test_a_number_of_another_tenant_is_refused_and_frees_what_was_claimed_with_it(
    shards: Shards, pools: ShardPools
) -> None:
    taken, free = _number(), _number()
    provisioning = _provisioning(shards, Runner(pools))
    owner = await provisioning.provision(_spec(taken), idempotency_key=new_id())

    with pytest.raises(PhoneNumberTakenError) as caught:
        await provisioning.provision(_spec(free, taken), idempotency_key=new_id())

    assert caught.value.phone_number_id == taken
    assert caught.value.http_status == 409
    assert await _directory(pools).by_phone(free) is None
    found = await _directory(pools).by_phone(taken)
    assert found is not None
    assert found.tenant_id == owner.tenant_id
    await provisioning.provision(_spec(free), idempotency_key=new_id())


async def test_of_two_who_want_one_number_at_once_one_gets_it(shards: Shards, pools: ShardPools) -> None:
    number = _number()
    provisioning = _provisioning(shards, Runner(pools))

    results = await asyncio.gather(
        *(provisioning.provision(_spec(number), idempotency_key=new_id()) for _ in range(3)), return_exceptions=True
    )

    refused = [result for result in results if isinstance(result, PhoneNumberTakenError)]
    assert len(refused) == 2
    assert await _directory(pools).by_phone(number) is not None


async def test_a_crash_at_any_step_shows_no_half_tenant_and_a_repeat_makes_one(
    shards: Shards, pools: ShardPools
) -> None:
    whole = Runner(pools)
    await _provisioning(shards, whole).provision(_spec(_number()), idempotency_key=new_id())
    assert whole.calls >= 8

    for crash_at in range(whole.calls):
        for after in (False, True):
            number, key = _number(), new_id()
            with pytest.raises(CrashError):
                await _provisioning(shards, Runner(pools, crash_at=crash_at, after=after)).provision(
                    _spec(number), idempotency_key=key
                )
            seen = await _directory(pools).by_phone(number)
            placed = crash_at + after > whole.calls - 3  # after the placement: confirming, completing
            assert (seen is not None) == placed, (crash_at, after)

            made = await _provisioning(shards, Runner(pools)).provision(_spec(number), idempotency_key=key)

            tenant = await _directory(pools).by_phone(number)
            assert tenant is not None
            assert tenant.tenant_id == made.tenant_id
            assert made.credential is not None
            credential = await _directory(pools).by_credential(made.credential.kid)
            assert credential is not None
            assert credential.tenant_id == made.tenant_id
            assert await _schemas_named(shards, {made.tenant_id}) == 1


async def test_numbers_claimed_for_a_tenant_that_never_came_are_free_again_in_time(
    shards: Shards, pools: ShardPools
) -> None:
    number = _number()
    with pytest.raises(CrashError):
        await _provisioning(shards, Runner(pools, crash_at=3)).provision(_spec(number), idempotency_key=new_id())
    provisioning = _provisioning(shards, Runner(pools))
    with pytest.raises(PhoneNumberTakenError):
        await provisioning.provision(_spec(number), idempotency_key=new_id())

    connection = await shards.as_owner(shard_of(number))
    lapse = "UPDATE spaza.tenant_phone SET claimed_until = now() - interval '1 s' WHERE phone_number_id = $1"
    await connection.execute(lapse, number)
    await connection.close()

    made = await provisioning.provision(_spec(number), idempotency_key=new_id())
    tenant = await _directory(pools).by_phone(number)
    assert tenant is not None
    assert tenant.tenant_id == made.tenant_id


async def test_after_a_crash_that_nobody_repeats_a_number_is_free_in_time_unless_its_tenant_is_there(
    shards: Shards, pools: ShardPools
) -> None:
    whole = Runner(pools)
    await _provisioning(shards, whole).provision(_spec(_number()), idempotency_key=new_id())
    for crash_at in range(1, whole.calls):
        number = _number()
        with pytest.raises(CrashError):
            await _provisioning(shards, Runner(pools, crash_at=crash_at, after=True)).provision(
                _spec(number), idempotency_key=new_id()
            )
        seen = await _directory(pools).by_phone(number)
        await _lapse(shards, number)
        other = _provisioning(shards, Runner(pools))
        if seen is not None:
            with pytest.raises(PhoneNumberTakenError):
                await other.provision(_spec(number), idempotency_key=new_id())
            continue

        made = await other.provision(_spec(number), idempotency_key=new_id())

        tenant = await _directory(pools).by_phone(number)
        assert tenant is not None
        assert tenant.tenant_id == made.tenant_id


async def _owners(shards: Shards, shard: int, statement: str, *arguments: Any) -> list[Any]:
    connection = await shards.as_owner(shard)
    try:
        return list(await connection.fetch(statement, *arguments))
    finally:
        await connection.close()


async def _lapse(shards: Shards, number: str) -> None:
    connection = await shards.as_owner(shard_of(number))
    lapse = (
        "UPDATE spaza.tenant_phone SET claimed_until = now() - interval '1 s'"
        " WHERE phone_number_id = $1 AND claimed_until IS NOT NULL"
    )
    await connection.execute(lapse, number)
    await connection.close()


async def _products(pools: ShardPools, tenant_id: str, shard: int) -> list[tuple[Any, ...]]:
    text = "SELECT sku, name, price_minor, currency, stock, latitude FROM {schema}.product ORDER BY sku"
    (outcome,) = await pools.run([UnitCall("statement", shard, tenant_id, text)], PATIENCE_S)
    rows: list[tuple[Any, ...]] = outcome.unwrap()
    return rows


async def test_products_are_written_once_and_changed_in_place(shards: Shards, pools: ShardPools) -> None:
    made = await _provisioning(shards, Runner(pools)).provision(_spec(_number()), idempotency_key=new_id())
    runner = Runner(pools)
    catalog = Catalog(runner, ShardProductSearch(runner))
    bread = ProductSpec(sku="bread-white", name="White bread", price=Money(amount=1899), stock=20)
    milk = ProductSpec(sku="milk-2l", name="Milk 2 l", price=Money(amount=3499))

    first = await catalog.upsert_products(made.tenant_id, made.shard_id, [bread, milk])
    again = await catalog.upsert_products(made.tenant_id, made.shard_id, [bread, milk])
    dearer = bread.model_copy(update={"price": Money(amount=1999)})
    changed = await catalog.upsert_products(made.tenant_id, made.shard_id, [dearer, milk])

    assert (first, again, changed) == (2, 0, 1)
    assert await _products(pools, made.tenant_id, made.shard_id) == [
        ("bread-white", "White bread", 1999, "ZAR", 20, None),
        ("milk-2l", "Milk 2 l", 3499, "ZAR", None, None),
    ]
    assert made.shard_id in range(SHARDS)


async def _left(shards: Shards) -> list[tuple[int, set[str]]]:
    """How many credentials there are, and whose schemas, on every shard."""
    found = []
    for shard in range(SHARDS):
        connection = await shards.as_owner(shard)
        credentials = await connection.fetchval("SELECT count(*) FROM spaza.tenant_credential")
        await connection.close()
        found.append((credentials, {*await schemas_of(shards.dsn, shard)}))
    return found


@pytest.mark.parametrize(
    "changes", [{"name": "a\0b"}, {"limits": Limits.model_construct(minute=2**31)}], ids=["profile", "placement"]
)
async def test_what_the_databases_do_not_take_is_refused_and_leaves_nothing_and_its_number_free(
    shards: Shards, pools: ShardPools, changes: dict[str, Any]
) -> None:
    number, provisioning, key = _number(), _provisioning(shards, Runner(pools)), new_id()
    # As if a rule were missing where it comes in.
    unfit = _spec(number).model_copy(update=changes)
    before = await _left(shards)

    for _ in range(2):
        with pytest.raises(TenantRefusedError, match="SQLSTATE 22"):
            await provisioning.provision(unfit, idempotency_key=key)

    assert await _left(shards) == before
    made = await provisioning.provision(_spec(number), idempotency_key=new_id())
    tenant = await _directory(pools).by_phone(number)
    assert tenant is not None
    assert tenant.tenant_id == made.tenant_id


@pytest.mark.parametrize(
    ("said", "becomes"),
    [(asyncpg.DiskFullError("x"), ShardUnavailableError), (asyncpg.DivisionByZeroError("x"), MigrationFailedError)],
)
async def test_a_full_disk_is_no_fault_of_a_migrations_and_passes(
    shards: Shards, said: asyncpg.PostgresError, becomes: type[Exception]
) -> None:
    async def asked() -> bool:
        raise said

    with pytest.raises(becomes):
        await TenantSchemas(shards.dsn).create(new_id(), 3, asked)
