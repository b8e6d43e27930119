"""Tenants are exported and removed; nothing of them is left, and nothing is lost that was not exported."""

import json

from actors.shards.placement import shard_of
from kernel.identifiers import new_id
from tests.contract.tenants.bench import Bench, number


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


async def test_a_tenant_of_which_nothing_is_left_is_not_told_to_be_resumed_first(bench: Bench) -> None:
    tenant_id = (await bench.made())["tenant_id"]
    await bench.post(f"/{tenant_id}/remove")
    removing = (await bench.post(f"/{tenant_id}/suspend")).json()
    digest = (await bench.export(tenant_id))[-1]["digest"]
    await bench.client.delete(f"/{tenant_id}", params={"digest": digest})

    removed = await bench.post(f"/{tenant_id}/suspend")

    assert "resume it first" in removing["message"]
    assert removed.status_code == 409
    assert "nothing can be suspended" in removed.json()["message"]
