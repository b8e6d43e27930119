"""Requests under an idempotency key that issue a credential: what was issued first is answered again, for a day."""

import base64
import hashlib
import secrets
from typing import Any, Final, NamedTuple

import orjson
from pydantic import SecretStr

from actors.shards.placement import shard_of
from actors.shards.unit import UnitCall, UnitRunner, run_one
from kernel.identifiers import new_id
from services.tenants import store
from services.tenants.errors import IdempotencyConflictError
from services.tenants.schemas import IssuedCredential
from services.tenants.sealing import Sealer, credential_context

SHARED_KEY_ALGORITHM: Final = "HS256"
PUBLIC_KEY_ALGORITHM: Final = "RS256"
_PEM: Final = "-----BEGIN "
_SECRET_BYTES: Final = 32
_STEP_S: Final = 10.0


class ClaimedRequest(NamedTuple):
    """What a key stands for.

    Attributes:
        credential: to be written; None where the key is older than credentials, or its day is over.
        issued: the same, as it is answered.
        requested_at: seconds since 1970, of the first time.
        removed: whether its tenant was removed.
    """

    key: str
    tenant_id: str
    credential: store.NewCredential | None
    issued: IssuedCredential | None
    requested_at: float
    removed: bool


class IssuingRequests:
    """Claims idempotency keys. Keeps the secret sealed beside the key, so that a crash loses none and shows none."""

    def __init__(self, shards: UnitRunner, sealer: Sealer) -> None:
        self._shards, self._sealer = shards, sealer

    async def claim(
        self,
        key: str,
        kind: str,
        tenant_id: str,
        fingerprint: bytes,
        *,
        renew: bool = False,
        public_key: str | None = None,
    ) -> ClaimedRequest:
        """Propose a tenant and a new credential for a key, and learn what it stands for.

        Args:
            key: of the caller.
            kind: ``create`` or ``rotate``.
            tenant_id: proposed.
            fingerprint: of what was asked.
            renew: see ``store.RequestClaim``.
            public_key: in PEM, for a credential whose private key is the tenant's alone; None makes a secret.

        Raises:
            IdempotencyConflictError: it was used for another request.
            ShardError: the key's shard did not answer.
        """
        kid = new_id()
        secret = base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode() if public_key is None else public_key
        sealed = self._sealer.seal(secret, credential_context(tenant_id, kid))
        proposed = store.RequestClaim(key, tenant_id, fingerprint, kind, kid, sealed, renew)
        row: store.RequestRow = await self._one(store.CLAIM_REQUEST, key, proposed)
        if row.fingerprint != fingerprint:
            raise IdempotencyConflictError(key)
        credential, issued = None, None
        if row.kid is not None and row.secret_sealed is not None:
            plain = self._sealer.unseal(row.secret_sealed, credential_context(row.tenant_id, row.kid))
            algorithm = PUBLIC_KEY_ALGORITHM if plain.startswith(_PEM) else SHARED_KEY_ALGORITHM
            credential = store.NewCredential(row.kid, row.tenant_id, algorithm, row.secret_sealed)
            issued = IssuedCredential(kid=row.kid, secret=SecretStr(plain), algorithm=algorithm)
        return ClaimedRequest(key, row.tenant_id, credential, issued, row.requested_at, row.removed)

    async def complete(self, request: ClaimedRequest) -> None:
        """Have the day begin in which it is answered again."""
        await self._one(store.COMPLETE_REQUEST, request.key, store.Completion(request.key, request.tenant_id))

    async def _one(self, unit: str, key: str, arguments: Any) -> Any:
        return await run_one(self._shards, UnitCall(unit, shard_of(key), "", arguments), timeout_s=_STEP_S)


def fingerprint_of(document: Any) -> bytes:
    """What tells one request from another under the same key: SHA-256 of its JSON, whatever the order of its fields."""
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).digest()
