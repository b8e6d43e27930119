"""A tenant as the way of a message needs it, and a credential as the gateway does."""

from typing import NamedTuple

from actors.rate_limiter.own_limits import OwnLimits


class Tenant(NamedTuple):
    """A tenant, seen from one of its phone numbers.

    Attributes:
        shard: where its schema is.
        epoch: of its placement; grows when it moves.
        state: ``active``, or why it is not served, such as ``suspended``. What customers write to it then, and what
            was to be sent for it, become dead letters ``tenant_suspended``, which an operator puts back once it is
            served again; statuses and events are kept as ever. A tenant that is being removed is nobody's.
        access_token_sealed: for ``Sealer.unseal`` with ``access_token_context(tenant_id)``.
        limits: its own.
    """

    tenant_id: str
    name: str
    shard: int
    epoch: int
    state: str
    phone_number_id: str
    display_phone_number: str
    access_token_sealed: str
    latitude: float
    longitude: float
    waba_id: str | None = None
    catalog_id: str | None = None
    limits: OwnLimits = OwnLimits()

    @property
    def is_served(self) -> bool:
        """Whether its customers are answered."""
        return self.state == "active"


class Credential(NamedTuple):
    """What a tenant signs its calls with, and where the tenant is.

    Attributes:
        kid: names it; in the header or the payload of a JWT.
        algorithm: the only one in which a JWT under it may be signed, such as ``HS256``.
        secret_sealed: for ``Sealer.unseal`` with ``credential_context(tenant_id, kid)``; base64 of the key's bytes.
        expires_at: seconds since 1970, once another has taken its place; None before.
        shard: where the tenant's schema is.
        epoch: of the tenant's placement; grows when it moves.
        state: of the tenant, see ``Tenant``.
        limits: its own.
    """

    kid: str
    tenant_id: str
    algorithm: str
    secret_sealed: str
    expires_at: float | None
    shard: int
    epoch: int
    state: str
    limits: OwnLimits = OwnLimits()

    @property
    def is_served(self) -> bool:
        """Whether its calls are answered."""
        return self.state == "active"
