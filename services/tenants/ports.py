"""The directory as those see it who look tenants up. ``TenantDirectory`` fits as it is."""

from collections.abc import Collection, Mapping
from typing import Protocol

from services.tenants.tenant import Tenant


class Tenants(Protocol):
    """The directory."""

    async def by_phones(self, phone_number_ids: Collection[str]) -> Mapping[str, Tenant | None]:
        """Raises ``DirectoryUnavailableError`` with what could be found."""
