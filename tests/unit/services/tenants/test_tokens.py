"""Tokens under a tenant's credential, over doubles."""

import base64
from collections.abc import Sequence
from typing import Any

import jwt
import pytest

from actors.shards.unit import UnitCall, UnitOutcome
from services.tenants import store
from services.tenants.admin_store import READ_TENANTS, TenantRow
from services.tenants.errors import TenantStateError, UnknownTenantError
from services.tenants.listing import TenantListing
from services.tenants.sealing import Sealer, credential_context
from services.tenants.tokens import TenantTokens

ID, KID, NOW = "a" * 32, "b" * 32, 1_790_000_000.0
SECRET = base64.b64encode(b"s" * 32).decode()


class FakeShards:
    """Has one tenant, or none."""

    def __init__(self, sealer: Sealer) -> None:
        row = TenantRow(ID, "Thandi's", 3, 1, "active", None, None, "{}", ("1",), (KID, "c" * 32), NOW, NOW)
        self.tenants = [row]
        sealed = sealer.seal(SECRET, credential_context(ID, KID))
        self.credentials = [store.CredentialRow(KID, ID, "HS256", sealed, None, NOW)]

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        return [UnitOutcome(self._value(call), (), None) for call in calls]

    def _value(self, call: UnitCall) -> Any:
        return self.tenants if call.name == READ_TENANTS else self.credentials


@pytest.fixture
def sealer() -> Sealer:
    return Sealer(base64.b64encode(b"k" * 32).decode())


@pytest.fixture
def shards(sealer: Sealer) -> FakeShards:
    return FakeShards(sealer)


@pytest.fixture
def tokens(shards: FakeShards, sealer: Sealer) -> TenantTokens:
    return TenantTokens(shards, TenantListing(shards), sealer, clock=lambda: NOW)


async def test_a_token_is_of_the_latest_credential_and_holds_for_a_while(tokens: TenantTokens) -> None:
    signed = await tokens.sign(ID, ttl_s=60)

    claims = jwt.decode(signed.token, b"s" * 32, ["HS256"], options={"verify_exp": False})
    assert claims == {"tenant_id": ID, "kid": KID, "exp": NOW + 60}
    assert (signed.kid, signed.expires_at) == (KID, NOW + 60)


async def test_no_tenant_has_no_token(tokens: TenantTokens, shards: FakeShards) -> None:
    shards.tenants.clear()

    with pytest.raises(UnknownTenantError):
        await tokens.sign(ID, ttl_s=60)


@pytest.mark.parametrize(
    ("change", "credentials"), [({"state": "removing"}, 1), ({"kids": ()}, 1), ({}, 0)], ids=["going", "none", "gone"]
)
async def test_a_tenant_that_cannot_call_has_no_token(
    tokens: TenantTokens, shards: FakeShards, change: dict[str, Any], credentials: int
) -> None:
    shards.tenants[0] = shards.tenants[0]._replace(**change)
    del shards.credentials[credentials:]

    with pytest.raises(TenantStateError):
        await tokens.sign(ID, ttl_s=60)
