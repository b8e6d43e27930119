"""The directory's credentials with their secrets open, for the gateway."""

from collections import OrderedDict
from typing import Final

from gateway.credentials import KnownCredential
from services.tenants.ports import Credentials
from services.tenants.sealing import Sealer, credential_context

_KEPT: Final = 10_000


class OpenedCredentials:
    """Finds credentials and opens their secrets. Keeps those it opened as long as the directory finds them unchanged.

    What changes, the directory hears of; nothing is believed here that it does not say anew. For one event loop.

    Args:
        directory: finds credentials.
        sealer: opens secrets.
        size: that are kept open at most; the least recently used go first.
    """

    def __init__(self, directory: Credentials, sealer: Sealer, *, size: int = _KEPT) -> None:
        self._directory, self._sealer, self._size = directory, sealer, size
        self._opened: OrderedDict[str, tuple[str, str]] = OrderedDict()

    async def find(self, kid: str) -> KnownCredential | None:
        """The credential that holds now under this name.

        Raises:
            CredentialUnavailableError: it could not be looked up now.
            UnsealError: its secret is sealed under another key, or was changed.
        """
        found = await self._directory.by_credential(kid)
        if found is None:
            self._opened.pop(kid, None)
            return None
        return KnownCredential(
            kid=found.kid,
            tenant_id=found.tenant_id,
            algorithm=found.algorithm,
            secret=self._secret(found.kid, found.tenant_id, found.secret_sealed),
            is_served=found.is_served,
            shard=found.shard,
            epoch=found.epoch,
            limits=found.limits,
        )

    def _secret(self, kid: str, tenant_id: str, sealed: str) -> str:
        known = self._opened.get(kid)
        if known is not None and known[0] == sealed:
            self._opened.move_to_end(kid)
            return known[1]
        secret = self._sealer.unseal(sealed, credential_context(tenant_id, kid))
        self._opened[kid] = (sealed, secret)
        self._opened.move_to_end(kid)
        if len(self._opened) > self._size:
            self._opened.popitem(last=False)
        return secret
