"""The sealing key is replaced on real databases."""

from functools import partial

import asyncpg
import pytest

from actors.shards.dsn import shard_dsn
from actors.shards.errors import WrongSealingKeyError
from actors.shards.placement import shard_of
from actors.shards.sealing_key import forget_other_keys
from actors.shards.setup import set_up_shards
from services.tenants.resealing import Resealed, Resealing
from services.tenants.sealing import access_token_context, credential_context
from tests.contract.tenants.bench import KEY, NEW_KEY, Bench, number
from tests.contract.tenants.conftest import MakeBench
from tests.servers import postgres


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


async def test_what_cannot_be_opened_keeps_the_other_keys_needed_and_hides_nothing_behind_it(
    tmp_path_factory: pytest.TempPathFactory, make_bench: MakeBench
) -> None:
    with postgres(tmp_path_factory.mktemp("unopened")) as server:
        await set_up_shards(server.dsn, KEY)
        kid = (await make_bench(server.dsn, KEY).made())["credential"]["kid"]
        await set_up_shards(server.dsn, NEW_KEY, (KEY,))
        without = make_bench(server.dsn, NEW_KEY)

        done = await _reseal_one_by_one(without)

        assert (done["complete"], done["forgotten_keys"]) == (False, 0)
        assert done["unopened"] > 0
        with pytest.raises(WrongSealingKeyError):
            await set_up_shards(server.dsn, NEW_KEY)
        await _damaged_copy(server.dsn, kid)
        both = make_bench(server.dsn, NEW_KEY, KEY)
        done = await _reseal_one_by_one(both)

        # All but the one that is damaged, which stands before the other on its shard.
        assert (done["complete"], done["unopened"], done["resealed"]) == (False, 1, 3)
        credential = await both.directory.by_credential(kid)
        assert credential is not None
        assert both.sealer.is_current(credential.secret_sealed)


async def _reseal_one_by_one(bench: Bench) -> Resealed:
    forget = partial(forget_other_keys, bench.dsn, bench.key)
    return await Resealing(bench.runner, bench.sealer, bench.directory, forget, page_size=1).run()


async def _damaged_copy(dsn: str, kid: str) -> None:
    owner = await asyncpg.connect(shard_dsn(dsn, shard_of(kid)))
    try:
        # The whole one is written once more, so that it stands behind the other in the table as well.
        await owner.execute(
            """
            INSERT INTO spaza.tenant_credential
            SELECT (jsonb_populate_record(one, '{"kid": "0", "secret_sealed": "damaged"}')).*
            FROM spaza.tenant_credential AS one WHERE kid = $1
            """,
            kid,
        )
        await owner.execute("UPDATE spaza.tenant_credential SET kid = kid WHERE kid = $1", kid)
    finally:
        await owner.close()
