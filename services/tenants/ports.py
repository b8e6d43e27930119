"""The directory as those see it who look tenants up. ``TenantDirectory`` fits as it is."""

from collections.abc import Collection, Mapping
from typing import Protocol

from services.tenants.tenant import Credential, Tenant


class Tenants(Protocol):
    """The directory."""

    async def by_phones(self, phone_number_ids: Collection[str]) -> Mapping[str, Tenant | None]:
        """Raises ``DirectoryUnavailableError`` with what could be found."""


class Credentials(Protocol):
    """The directory, for who checks what callers sign with."""

    async def by_credential(self, kid: str) -> Credential | None:
        """The credential that holds now under this name; raises ``CredentialUnavailableError``."""
