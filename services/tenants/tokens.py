"""Tokens under a tenant's own credential, for operators who want to see the API as the tenant does."""

import base64
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import jwt

from actors.shards.placement import shard_of
from actors.shards.unit import UnitCall, UnitRunner
from services.tenants import store
from services.tenants.errors import TenantStateError
from services.tenants.listing import TenantListing
from services.tenants.requests import SHARED_KEY_ALGORITHM
from services.tenants.sealing import Sealer, credential_context
from services.tenants.states import ACTIVE, SUSPENDED

_STEP_S: Final = 5.0


class SignedToken(NamedTuple):
    """A token, the credential that signed it, and when it expires, in seconds since 1970."""

    token: str
    kid: str
    expires_at: int


class TenantTokens:
    """Signs tokens for a short while. Nothing is kept of them: what ends the credential ends them.

    Args:
        shards: run the units.
        listing: of tenants.
        sealer: opens secrets.
        clock: seconds since 1970.
    """

    def __init__(
        self, shards: UnitRunner, listing: TenantListing, sealer: Sealer, clock: Callable[[], float] = time.time
    ) -> None:
        self._shards, self._listing, self._sealer, self._clock = shards, listing, sealer, clock

    async def sign(self, tenant_id: str, *, ttl_s: int) -> SignedToken:
        """A token of the tenant's latest credential.

        Args:
            tenant_id: of the tenant.
            ttl_s: seconds for which it holds.

        Raises:
            UnknownTenantError: there is none.
            TenantStateError: it is being removed, has no credential, or one whose private key is its own.
            ShardError: a shard that knows of it does not answer.
        """
        row = await self._listing.row(tenant_id)
        if row.state not in {ACTIVE, SUSPENDED}:
            raise TenantStateError(tenant_id, row.state, "it is being removed, and calls no more")
        if not row.kids:
            raise TenantStateError(tenant_id, row.state, "it has no credential; issue one with rotate")
        kid = row.kids[0]
        [outcome] = await self._shards.run(
            [UnitCall(store.FIND_CREDENTIALS, shard_of(kid), "", [kid])], timeout_s=_STEP_S
        )
        found: list[store.CredentialRow] = outcome.unwrap()
        if not found:
            raise TenantStateError(tenant_id, row.state, "its credential was just replaced; ask again")
        if found[0].algorithm != SHARED_KEY_ALGORITHM:
            remedy = "its latest credential is a public key, so only the holder of the private one signs"
            raise TenantStateError(tenant_id, row.state, remedy)
        key = base64.b64decode(self._sealer.unseal(found[0].secret_sealed, credential_context(tenant_id, kid)))
        expires_at = int(self._clock()) + ttl_s
        claims = {"tenant_id": tenant_id, "kid": kid, "exp": expires_at}
        return SignedToken(jwt.encode(claims, key, algorithm=found[0].algorithm), kid, expires_at)
