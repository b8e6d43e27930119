"""Credentials as jwt-auth looks them up. The tenants' directory is behind it."""

from typing import NamedTuple, Protocol

from actors.rate_limiter.own_limits import OwnLimits


class KnownCredential(NamedTuple):
    """A credential that holds now.

    Attributes:
        kid: its name.
        tenant_id: whose it is.
        algorithm: the only one in which a token under it may be signed.
        secret: of HS* algorithms; of the others the public key in PEM.
        is_served: whether the tenant's calls are answered; a suspended tenant's are not.
        shard: where the tenant's schema is.
        epoch: of the tenant's placement.
        limits: the tenant's own.
    """

    kid: str
    tenant_id: str
    algorithm: str
    secret: str
    is_served: bool
    shard: int
    epoch: int
    limits: OwnLimits

    def __repr__(self) -> str:
        return f"KnownCredential(kid={self.kid!r}, tenant_id={self.tenant_id!r}, ***)"


class Credentials(Protocol):
    """Finds credentials."""

    async def find(self, kid: str) -> KnownCredential | None:
        """The credential that holds now under this name; None if there is none.

        Raises:
            SpazaError: it cannot be looked up now.
        """
