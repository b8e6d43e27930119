"""Tenants are made, listed and shown over the admin API, once for one key, and every fault is named."""

import base64
import json

import pytest

from actors.shards.placement import shard_of
from kernel.identifiers import new_id
from services.tenants.sealing import credential_context
from tests.contract.tenants.bench import Bench, idempotent, number, spec


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

    assert answer.status_code == 400
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
    after: dict[str, str] = {}
    while True:
        page = await bench.page(limit=2, **after)
        listed += [one["tenant_id"] for one in page["tenants"]]
        if page["next_cursor"] is None:
            break
        after = {"cursor": page["next_cursor"]}

    assert [one for one in listed if one in made] == made
    assert listed == sorted({*listed})


async def test_a_list_says_which_shards_are_missing(bench: Bench) -> None:
    made = await bench.made()
    # So that all shards have been reached by then.
    await bench.page()
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
    assert shown["limits"] == {"minute": 50, "hour": None, "routes": {}}
    [credential] = shown["credentials"]
    assert (credential["kid"], credential["algorithm"]) == (made["credential"]["kid"], "HS256")
    assert [(await bench.client.get(f"/{bad}")).status_code for bad in (new_id(), "x", "a" * 4000)] == [404] * 3


async def test_a_tenant_from_before_placements_listed_its_numbers_is_shown_with_them(bench: Bench) -> None:
    one = number()
    made = await bench.made(one)
    forget = "UPDATE spaza.tenant_placement SET phone_numbers = '{}', kids = '{}' WHERE tenant_id = $1"
    await bench.owners(made["shard_id"], forget, made["tenant_id"])

    shown = (await bench.client.get(f"/{made['tenant_id']}")).json()

    assert [found["phone_number_id"] for found in shown["phone_numbers"]] == [one]
    assert [found["kid"] for found in shown["credentials"]] == [made["credential"]["kid"]]
