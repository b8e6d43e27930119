"""The admin API of tenants over real databases: made, shown, rotated, suspended, exported, removed, sealed anew."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import asyncpg
import httpx
import pytest

from actors.shards.access import ShardAccess
from actors.shards.dsn import shard_dsn
from actors.shards.errors import ShardUnavailableError, WrongSealingKeyError
from actors.shards.placement import shard_of
from actors.shards.pool import ShardPools
from actors.shards.sealing_key import forget_other_keys
from actors.shards.setup import set_up_shards
from actors.shards.tenant_schema import TenantSchemas
from actors.shards.unit import UnitCall, UnitOutcome
from cluster.postgres import PostgresServer
from kernel.identifiers import new_id
from services.admin.actions import Who
from services.tenants.directory import DirectoryPolicy, TenantDirectory
from services.tenants.routes import TENANTS_PREFIX
from services.tenants.sealing import Sealer, access_token_context, credential_context
from services.tenants.wiring import tenants_app
from services.units import UNITS
from tests.servers import postgres

KEY, NEW_KEY = (base64.b64encode(letter * 32).decode() for letter in (b"k", b"n"))
TOKEN = "t" * 32
SCHEMA = "SELECT 1 FROM pg_namespace WHERE nspname = $1"
PRODUCT = (
    "INSERT INTO {schema}.product (sku, name, price_minor, currency, latitude, longitude)"
    " SELECT 'sku-' || n, 'Product ' || n, n, 'ZAR', 0, 0 FROM generate_series(1, $1::int) AS n"
)


class CrashError(Exception):
    pass


class Runner:
    """Runs units on the pools, with some shards away, or crashing after one of the calls."""

    def __init__(self, pools: ShardPools) -> None:
        self._pools = pools
        self.away: set[int] = set()
        self.calls, self.crash_after = 0, -1

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        at, self.calls = self.calls, self.calls + 1
        outcomes = [
            UnitOutcome(None, (), ShardUnavailableError(call.shard, "away")) if call.shard in self.away else outcome
            for call, outcome in zip(calls, await self._pools.run(calls, timeout_s), strict=True)
        ]
        if at == self.crash_after:
            raise CrashError
        return outcomes


class Record:
    def __init__(self) -> None:
        self.begun: list[tuple[str, str, dict[str, Any]]] = []
        self.ended: list[dict[str, Any]] = []

    async def begin(self, who: Who, action: str, queue: str, request: Mapping[str, Any], *, must: bool) -> str:
        self.begun.append((action, queue, dict(request)))
        return "1"

    async def end(self, action_id: str, action: str, queue: str, outcome: Mapping[str, Any]) -> None:
        self.ended.append(dict(outcome))


class Bench:
    """The API over the pools of one server, under one set of keys."""

    def __init__(self, dsn: str, key: str, *others: str) -> None:
        async def add(transaction: Any, count: int) -> None:
            await transaction.execute(PRODUCT, count)

        self.dsn, self.key = dsn, key
        self.pools = ShardPools(ShardAccess.derive(dsn, key), range(32), {**UNITS, "add": add}, None)
        self.runner, self.record = Runner(self.pools), Record()
        self.sealer = Sealer(key, *others)
        # Nothing is kept, so that what is seen is what the rows say.
        self.directory = TenantDirectory(self.runner, policy=DirectoryPolicy(local_s=0, local_absent_s=0))
        app = tenants_app(
            self.runner, self.record, TOKEN.encode(), schemas=TenantSchemas(dsn), sealer=self.sealer,
            directory=self.directory, forget_other_keys=partial(forget_other_keys, dsn, key),
        )  # fmt: skip
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://spaza",
            headers={"Authorization": f"Bearer {TOKEN}", "X-Operator": "thandi", "X-Correlation-ID": "r1"},
        )  # fmt: skip

    async def create(self, *numbers: str, key: str | None = None, **changes: Any) -> httpx.Response:
        return await self.client.post("/", json=spec(*numbers, **changes), headers=idempotent(key))

    async def made(self, *numbers: str) -> dict[str, Any]:
        answer = await self.create(*(numbers or (number(),)))
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def post(self, path: str, document: Any = None, key: str | None = None) -> httpx.Response:
        return await self.client.post(path, json=document or {}, headers=idempotent(key))

    async def export(self, tenant_id: str, **query: str) -> list[dict[str, Any]]:
        answer = await self.client.get(f"/{tenant_id}/export", params=query)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    async def products(self, tenant_id: str, count: int) -> None:
        [outcome] = await self.pools.run([UnitCall("add", shard_of(tenant_id), tenant_id, count)], 10.0)
        outcome.unwrap()

    async def owners(self, shard: int, statement: str, *arguments: Any) -> list[Any]:
        connection = await asyncpg.connect(shard_dsn(self.dsn, shard))
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()

    async def aclose(self) -> None:
        await self.client.aclose()
        await self.pools.aclose()


def number() -> str:
    return str(int(new_id(), 16))[-15:]


def idempotent(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": new_id() if key is None else key}


def spec(*numbers: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": "Thandi's Spaza",
        "phone_numbers": [{"phone_number_id": one, "display_phone_number": "+27110000001"} for one in numbers],
        "location": {"lat": -26.2485, "lon": 27.8540},
        "whatsapp": {"access_token": "EAAG-token", "waba_id": "200000000000001"},
        "payments": {
            "paystack": {"secret_key": "sk_test_secret"},
            "ozow": {"site_code": "TSTSTE0001", "private_key": "ozow-private", "api_key": "ozow-api"},
        },
        "limits": {"minute": 50},
        **changes,
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with postgres(tmp_path_factory.mktemp("pg")) as started:
        asyncio.run(set_up_shards(started.dsn, KEY))
        yield started


MakeBench = Callable[..., Bench]


@pytest.fixture
async def make_bench() -> AsyncIterator[MakeBench]:
    made: list[Bench] = []

    def make(*arguments: str) -> Bench:
        made.append(Bench(*arguments))
        return made[-1]

    yield make
    for bench in made:
        await bench.aclose()


@pytest.fixture
def bench(server: PostgresServer, make_bench: MakeBench) -> Bench:
    return make_bench(server.dsn, KEY)


async def test_a_tenant_is_made_with_its_credential_and_a_repeat_gets_the_same_answer(bench: Bench) -> None:
    one, key = number(), new_id()

    first, again = await bench.create(one, key=key), await bench.create(one, key=key)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    made = first.json()
    assert {*made} == {"success", "tenant_id", "shard_id", "credential"}
    assert {*made["credential"]} == {"kid", "secret"}
    assert (made["success"], made["shard_id"]) == (True, shard_of(made["tenant_id"]))
    assert len(base64.b64decode(made["credential"]["secret"], validate=True)) == 32
    credential = await bench.directory.by_credential(made["credential"]["kid"])
    assert credential is not None
    context = credential_context(made["tenant_id"], credential.kid)
    assert bench.sealer.unseal(credential.secret_sealed, context) == made["credential"]["secret"]


async def test_no_secret_is_recorded_or_shown_again(bench: Bench) -> None:
    made = await bench.made()

    shown = await bench.client.get(f"/{made['tenant_id']}")
    rows = await bench.export(made["tenant_id"])

    said = shown.text + json.dumps(rows) + json.dumps([*bench.record.begun, *bench.record.ended])
    for secret in (made["credential"]["secret"], "EAAG-token", "sk_test_secret", "ozow-private", "ozow-api", "v1."):
        assert secret not in said
    assert [action for action, _, _ in bench.record.begun] == ["tenant_create", "tenant_export"]


async def test_a_key_that_comes_with_another_body_is_refused_and_makes_nothing(bench: Bench) -> None:
    key, other = new_id(), number()
    await bench.create(number(), key=key)

    answer = await bench.create(other, key=key)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"
    assert await bench.directory.by_phone(other) is None


async def test_a_taken_number_is_named_and_the_others_stay_free(bench: Bench) -> None:
    taken, free = number(), number()
    await bench.made(taken)

    answer = await bench.create(free, taken)

    assert answer.status_code == 409
    [fault] = answer.json()["errors"]
    assert fault["field"] == "phone_numbers.1.phone_number_id"
    assert (await bench.create(free)).status_code == 201


@pytest.mark.parametrize("key", [None, "", "two words", "x" * 256])
async def test_without_a_sane_idempotency_key_nothing_is_made(bench: Bench, key: str | None) -> None:
    headers = {} if key is None else {"Idempotency-Key": key}

    answer = await bench.client.post("/", json=spec(number()), headers=headers)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


async def test_each_field_that_is_wrong_is_named_with_a_remedy(bench: Bench) -> None:
    wrong = {
        "name": "",
        "phone_numbers": [{"phone_number_id": "+27 11", "display_phone_number": "0110000001"}],
        "location": {"lat": 91},
        "whatsapp": {"access_token": "two words"},
        "payments": {"ozow": {"site_code": "?", "private_key": "x"}, "stripe": {}},
        "limits": {"minute": 0},
    }

    answer = await bench.client.post("/", json=wrong, headers=idempotent(None))

    assert answer.status_code == 422
    faults = {one["field"]: one["message"] for one in answer.json()["errors"]}
    assert {*faults} == {
        "name", "phone_numbers.0.phone_number_id", "phone_numbers.0.display_phone_number", "location.lat",
        "location.lon", "whatsapp.access_token", "payments.ozow.site_code", "payments.ozow.api_key",
        "payments.stripe", "limits.minute",
    }  # fmt: skip
    assert "digits" in faults["phone_numbers.0.phone_number_id"]
    assert "+27821234567" in faults["phone_numbers.0.display_phone_number"]
    assert "two words" not in answer.text
    assert answer.json()["request_id"] == "r1"


async def test_nobody_gets_in_without_the_admin_token(bench: Bench) -> None:
    answer = await bench.client.get("/", headers={"Authorization": "Bearer guess"})

    assert answer.status_code == 401


async def test_pages_go_through_all_tenants_once_in_the_order_of_their_making(bench: Bench) -> None:
    made = [(await bench.made())["tenant_id"] for _ in range(5)]

    listed: list[str] = []
    cursor = ""
    while cursor is not None:
        page = (await bench.client.get("/", params={"limit": 2, "cursor": cursor})).json()
        listed += [one["tenant_id"] for one in page["tenants"]]
        cursor = page["next_cursor"]

    assert [one for one in listed if one in made] == made
    assert listed == sorted({*listed})


async def test_a_list_says_which_shards_are_missing(bench: Bench) -> None:
    made = await bench.made()
    bench.runner.away = {shard_of(made["tenant_id"])}

    page = (await bench.client.get("/", params={"limit": 500})).json()

    assert (page["partial"], page["missing_shards"]) == (True, [made["shard_id"]])
    assert made["tenant_id"] not in [one["tenant_id"] for one in page["tenants"]]


async def test_a_tenant_is_shown_in_full(bench: Bench) -> None:
    one = number()
    made = await bench.made(one)

    shown = (await bench.client.get(f"/{made['tenant_id']}")).json()

    assert shown["phone_numbers"] == [{"phone_number_id": one, "display_phone_number": "+27110000001"}]
    assert (shown["state"], shown["shard_id"], shown["payments"]) == ("active", made["shard_id"], ["paystack", "ozow"])
    assert shown["limits"] == {"minute": 50, "hour": None}
    [credential] = shown["credentials"]
    assert (credential["kid"], credential["algorithm"]) == (made["credential"]["kid"], "HS256")
    assert [(await bench.client.get(f"/{bad}")).status_code for bad in (new_id(), "x", "a" * 4000)] == [404] * 3


async def test_a_rotated_credential_holds_at_once_and_the_old_one_for_its_grace(bench: Bench) -> None:
    made, key = await bench.made(), new_id()
    tenant_id, old = made["tenant_id"], made["credential"]["kid"]

    first = await bench.post(f"/{tenant_id}/rotate", {"grace_s": 600}, key)
    again = await bench.post(f"/{tenant_id}/rotate", {"grace_s": 600}, key)

    assert (first.status_code, first.json()) == (201, again.json())
    new = first.json()["credential"]["kid"]
    assert [one["kid"] for one in first.json()["retired"]] == [old]
    both = [await bench.directory.by_credential(kid) for kid in (old, new)]
    assert [one is not None and one.expires_at is not None for one in both] == [True, False]

    ended = (await bench.post(f"/{tenant_id}/rotate", {"grace_s": 0})).json()

    assert [await bench.directory.by_credential(kid) for kid in (old, new)] == [None, None]
    assert await bench.directory.by_credential(ended["credential"]["kid"]) is not None


async def test_a_rotation_that_is_repeated_after_another_leaves_the_later_one_alone(bench: Bench) -> None:
    tenant_id, key = (await bench.made())["tenant_id"], new_id()
    await bench.post(f"/{tenant_id}/rotate", {"grace_s": 0}, key)
    later = (await bench.post(f"/{tenant_id}/rotate", {"grace_s": 0})).json()["credential"]["kid"]

    await bench.post(f"/{tenant_id}/rotate", {"grace_s": 0}, key)

    assert await bench.directory.by_credential(later) is not None


async def test_a_crash_at_any_step_of_a_rotation_is_gone_on_from(bench: Bench) -> None:
    tenant_id = (await bench.made())["tenant_id"]
    before = bench.runner.calls
    await bench.post(f"/{tenant_id}/rotate", {"grace_s": 0})
    for step in range(bench.runner.calls - before):
        key = new_id()
        bench.runner.crash_after = bench.runner.calls + step
        assert (await bench.post(f"/{tenant_id}/rotate", {"grace_s": 0}, key)).status_code == 500
        bench.runner.crash_after = -1

        answer = await bench.post(f"/{tenant_id}/rotate", {"grace_s": 0}, key)

        assert answer.status_code == 201, step
        shown = (await bench.client.get(f"/{tenant_id}")).json()["credentials"]
        assert [one["kid"] for one in shown if one["expires_at"] is None] == [answer.json()["credential"]["kid"]]


async def test_a_suspended_tenant_says_so_everywhere_until_it_is_resumed(bench: Bench) -> None:
    one = number()
    made = await bench.made(one)

    for verb, state in (("suspend", "suspended"), ("suspend", "suspended"), ("resume", "active")):
        answer = await bench.post(f"/{made['tenant_id']}/{verb}")
        assert answer.json() == {"success": True, "tenant_id": made["tenant_id"], "state": state}
        tenant = await bench.directory.by_phone(one)
        credential = await bench.directory.by_credential(made["credential"]["kid"])
        assert tenant is not None
        assert credential is not None
        assert (tenant.state, credential.state) == (state, state)
    assert (await bench.post(f"/{new_id()}/suspend")).status_code == 404


async def test_an_export_has_every_row_once_in_order_and_can_be_gone_on_with(bench: Bench) -> None:
    tenant_id = (await bench.made())["tenant_id"]
    await bench.products(tenant_id, 450)

    whole = await bench.export(tenant_id)
    middle = next(at for at, line in enumerate(whole) if line.get("key") == [tenant_id, "sku-300"])
    place = {"table": "product", "key": json.dumps(whole[middle]["key"]), "digest": whole[0]["digest"]}
    rest = await bench.export(tenant_id, **place)

    assert whole[-1]["end"] is True
    assert whole[-1]["rows"]["product"] == 450
    assert len({line["row"]["sku"] for line in whole if line.get("table") == "product"}) == 450
    assert rest == whole[middle + 1 :]
    assert not any("sealed" in column for line in whole if "row" in line for column in line["row"])


async def test_a_removed_tenant_is_gone_with_all_that_led_to_it_and_its_number_is_free(bench: Bench) -> None:
    one, key = number(), new_id()
    made = (await bench.create(one, key=key)).json()
    tenant_id = made["tenant_id"]

    early = await bench.client.delete(f"/{tenant_id}", params={"digest": "0" * 64})
    given_up = await bench.post(f"/{tenant_id}/remove")
    nobody = await bench.directory.by_phone(one), await bench.directory.by_credential(made["credential"]["kid"])
    digest = (await bench.export(tenant_id))[-1]["digest"]
    answers = [await bench.client.delete(f"/{tenant_id}", params={"digest": digest}) for _ in range(2)]

    assert (early.status_code, given_up.json()["state"], nobody) == (409, "removing", (None, None))
    assert [answer.status_code for answer in answers] == [200, 200]
    schemas = await bench.owners(
        shard_of(tenant_id), "SELECT 1 FROM pg_namespace WHERE nspname = $1", f"tenant_{tenant_id}"
    )
    assert schemas == []
    assert (await bench.client.get(f"/{tenant_id}")).json()["state"] == "removed"
    assert tenant_id not in (await bench.client.get("/", params={"limit": 500})).text
    assert (await bench.create(one, key=key)).status_code == 410
    assert (await bench.create(one)).status_code == 201


async def test_rows_that_changed_since_the_export_are_not_taken_away(bench: Bench) -> None:
    tenant_id = (await bench.made())["tenant_id"]
    await bench.post(f"/{tenant_id}/remove")
    digest = (await bench.export(tenant_id))[-1]["digest"]
    await bench.products(tenant_id, 1)

    refused = await bench.client.delete(f"/{tenant_id}", params={"digest": digest})

    assert refused.status_code == 409
    assert (await bench.export(tenant_id))[-1]["rows"]["product"] == 1
    assert (await bench.post(f"/{tenant_id}/resume")).json()["state"] == "active"


async def test_a_crash_at_any_step_of_a_removal_is_gone_on_from(bench: Bench) -> None:
    tenant_id = (await bench.made())["tenant_id"]
    await bench.post(f"/{tenant_id}/remove")
    digest = (await bench.export(tenant_id))[-1]["digest"]
    before = bench.runner.calls
    await bench.client.delete(f"/{tenant_id}", params={"digest": digest})
    for step in range(bench.runner.calls - before):
        one = number()
        tenant_id = (await bench.made(one))["tenant_id"]
        await bench.post(f"/{tenant_id}/remove")
        digest = (await bench.export(tenant_id))[-1]["digest"]
        bench.runner.crash_after = bench.runner.calls + step
        assert (await bench.client.delete(f"/{tenant_id}", params={"digest": digest})).status_code == 500
        bench.runner.crash_after = -1
        assert await bench.directory.by_phone(one) is None

        assert (await bench.client.delete(f"/{tenant_id}", params={"digest": digest})).status_code == 200, step

        assert (await bench.create(one)).status_code == 201


async def test_the_key_can_be_replaced_and_the_old_one_is_needed_until_all_is_sealed_anew(
    tmp_path_factory: pytest.TempPathFactory, make_bench: MakeBench
) -> None:
    with postgres(tmp_path_factory.mktemp("rotated")) as server:
        await set_up_shards(server.dsn, KEY)
        old = make_bench(server.dsn, KEY)
        one = number()
        made = await old.made(one)
        await old.post(f"/{made['tenant_id']}/rotate", {})

        with pytest.raises(WrongSealingKeyError):
            await set_up_shards(server.dsn, NEW_KEY)
        await set_up_shards(server.dsn, NEW_KEY, (KEY,))
        with pytest.raises(WrongSealingKeyError):
            await set_up_shards(server.dsn, NEW_KEY)
        both = make_bench(server.dsn, NEW_KEY, KEY)
        done = (await both.post("/reseal")).json()
        again = (await both.post("/reseal")).json()
        await set_up_shards(server.dsn, NEW_KEY)
        new = make_bench(server.dsn, NEW_KEY)

        assert (done["complete"], done["unopened"], done["forgotten_keys"]) == (True, 0, 1)
        assert done["resealed"] == 5  # two credentials, their requests, one profile
        assert (again["complete"], again["resealed"]) == (True, 0)
        tenant = await new.directory.by_phone(one)
        credential = await new.directory.by_credential(made["credential"]["kid"])
        assert tenant is not None
        assert credential is not None
        unsealed = new.sealer.unseal(tenant.access_token_sealed, access_token_context(tenant.tenant_id))
        assert unsealed == "EAAG-token"
        context = credential_context(tenant.tenant_id, credential.kid)
        assert new.sealer.unseal(credential.secret_sealed, context) == made["credential"]["secret"]
        with pytest.raises(WrongSealingKeyError):
            await set_up_shards(server.dsn, KEY)


async def test_what_cannot_be_opened_keeps_the_other_keys_needed(
    tmp_path_factory: pytest.TempPathFactory, make_bench: MakeBench
) -> None:
    with postgres(tmp_path_factory.mktemp("unopened")) as server:
        await set_up_shards(server.dsn, KEY)
        await make_bench(server.dsn, KEY).made()
        await set_up_shards(server.dsn, NEW_KEY, (KEY,))
        without = make_bench(server.dsn, NEW_KEY)

        done = (await without.post("/reseal")).json()

        assert (done["complete"], done["forgotten_keys"]) == (False, 0)
        assert done["unopened"] > 0
        with pytest.raises(WrongSealingKeyError):
            await set_up_shards(server.dsn, NEW_KEY)


def test_the_prefix_is_the_one_of_the_design() -> None:
    assert TENANTS_PREFIX == "/api/v1/tenants"
