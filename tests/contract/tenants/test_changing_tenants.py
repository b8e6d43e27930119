"""Credentials are rotated and tenants suspended; a crash at any step is gone on from."""

import asyncio

from actors.rate_limiter.own_limits import OwnLimits, RouteLimits
from actors.shards.placement import shard_of
from actors.shards.unit import UnitCall
from kernel.identifiers import new_id
from services.tenants.admin_store import FORGET_OLD
from tests.contract.tenants.bench import Bench, number


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


async def test_what_was_kept_for_a_while_goes_and_nothing_else(bench: Bench) -> None:
    key = new_id()
    made = (await bench.create(number(), key=key)).json()
    tenant_id, old = made["tenant_id"], made["credential"]["kid"]
    new = (await bench.post(f"/{tenant_id}/rotate", {})).json()["credential"]["kid"]
    expired = "UPDATE spaza.tenant_credential SET expires_at = now() - interval '2 days' WHERE kid = $1"
    await bench.owners(shard_of(old), expired, old)
    answered = "UPDATE spaza.tenant_request SET completed_at = now() - interval '25 hours' WHERE idempotency_key = $1"
    await bench.owners(shard_of(key), answered, key)

    for shard in range(32):
        [outcome] = await bench.pools.run([UnitCall(FORGET_OLD, shard, "", None)], 10.0)
        outcome.unwrap()

    shown = (await bench.client.get(f"/{tenant_id}")).json()
    assert [one["kid"] for one in shown["credentials"]] == [new]
    [request] = await bench.owners(
        shard_of(key), "SELECT secret_sealed FROM spaza.tenant_request WHERE idempotency_key = $1", key
    )
    assert request["secret_sealed"] is None
    repeat = await bench.create(shown["phone_numbers"][0]["phone_number_id"], key=key)
    assert (repeat.status_code, repeat.json()["errors"][0]["field"]) == (409, "phone_numbers.0.phone_number_id")
    await bench.post(f"/{tenant_id}/rotate", {})
    assert len((await bench.client.get(f"/{tenant_id}")).json()["credentials"]) == 2


async def test_limits_are_changed_as_a_whole_and_on_single_routes_and_go_back(bench: Bench) -> None:
    one = number()
    made = await bench.made(one)
    tenant_id, path = made["tenant_id"], f"/{made['tenant_id']}/limits"

    answers = [
        (await bench.post(path, asked)).json()["limits"]
        for asked in (
            {"minute": None, "hour": 7, "routes": {"products": {"minute": 3}}},
            {"routes": {"products": {"hour": 4}, "orders": {"minute": 2}}},
            {"minute": 6, "routes": {"orders": None}},
        )
    ]

    assert answers == [
        {"minute": None, "hour": 7, "routes": {"products": {"minute": 3, "hour": None}}},
        {"minute": None, "hour": 7, "routes": {"orders": {"minute": 2, "hour": None},
                                               "products": {"minute": 3, "hour": 4}}},
        {"minute": 6, "hour": 7, "routes": {"products": {"minute": 3, "hour": 4}}},
    ]  # fmt: skip
    credential, tenant = (
        await bench.directory.by_credential(made["credential"]["kid"]),
        await bench.directory.by_phone(one),
    )
    assert credential is not None
    assert tenant is not None
    assert credential.limits == tenant.limits == OwnLimits(6, 7, (RouteLimits("products", 3, 4),))
    assert (await bench.client.get(f"/{tenant_id}")).json()["limits"] == answers[-1]
    assert (await bench.post(path, {"minute": None, "hour": None, "routes": None})).json()["limits"] == {
        "minute": None, "hour": None, "routes": {},
    }  # fmt: skip
    assert bench.record.begun[-1] == (
        "tenant_limits", f"tenant {tenant_id}", {"minute": None, "hour": None, "routes": None},
    )  # fmt: skip
    assert bench.record.ended[-1] == {"limits": {"minute": None, "hour": None, "routes": {}}}


async def test_limits_that_are_none_are_refused_by_name_and_change_nothing(bench: Bench) -> None:
    tenant_id = (await bench.made())["tenant_id"]
    before = (await bench.client.get(f"/{tenant_id}")).json()["limits"]

    for asked, field in (
        ({"minute": 0}, "minute"),
        ({"hour": 10**12}, "hour"),
        ({"minute": True}, "minute"),
        ({"routes": {"nowhere": {"minute": 1}}}, "routes.nowhere"),
        ({"routes": {"products": {"minute": "many"}}}, "routes.products.minute"),
        ({"second": 1}, "second"),
    ):
        answer = await bench.post(f"/{tenant_id}/limits", asked)
        assert [one["field"] for one in answer.json()["errors"]] == [field], answer.text

    assert (await bench.client.get(f"/{tenant_id}")).json()["limits"] == before
    assert (await bench.post(f"/{new_id()}/limits", {"minute": 1})).status_code == 404


async def test_limits_that_would_contradict_what_stays_are_refused_by_place_and_change_nothing(bench: Bench) -> None:
    tenant_id = (await bench.made())["tenant_id"]
    path = f"/{tenant_id}/limits"
    await bench.post(path, {"minute": 5, "hour": 50, "routes": {"products": {"minute": 5}}})
    before = (await bench.client.get(f"/{tenant_id}")).json()["limits"]

    for asked, fields in (
        ({"hour": 3}, ["body"]),
        ({"minute": 51}, ["body"]),
        ({"routes": {"products": {"hour": 3}}}, ["routes.products"]),
        ({"hour": 3, "routes": {"products": {"hour": 3}}}, ["body", "routes.products"]),
    ):
        answer = await bench.post(path, asked)
        assert (answer.status_code, [one["field"] for one in answer.json()["errors"]]) == (400, fields), answer.text

    assert bench.record.ended[-1] == {"error": "refused_request"}
    assert (await bench.client.get(f"/{tenant_id}")).json()["limits"] == before
    assert (await bench.post(path, {"minute": 2, "hour": 3})).status_code == 200


async def test_limits_changed_at_once_are_all_there(bench: Bench) -> None:
    path = f"/{(await bench.made())['tenant_id']}/limits"

    await asyncio.gather(
        *(bench.post(path, {"routes": {name: {"minute": at}}}) for name in ("products", "orders") for at in (1, 2)),
        bench.post(path, {"hour": 800}),
    )

    limits = (await bench.client.get(path.removesuffix("/limits"))).json()["limits"]
    assert ({*limits["routes"]}, limits["hour"]) == ({"orders", "products"}, 800)
