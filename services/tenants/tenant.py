"""A tenant as the way of a message needs it."""

from typing import NamedTuple


class Tenant(NamedTuple):
    """A tenant, seen from one of its phone numbers.

    Attributes:
        shard: where its schema is.
        epoch: of its placement; grows when it moves.
        state: ``active``, or why it is not served, such as ``suspended``. What customers write to it then, and what
            was to be sent for it, become dead letters ``tenant_suspended``, which an operator puts back once it is
            served again; statuses and events are kept as ever. Seen everywhere an hour after the row has changed, and
            within a minute where its numbers were forgotten (``TenantDirectory.forget``).
        access_token_sealed: for ``Sealer.unseal`` with ``access_token_context(tenant_id)``.
        limit_minute: requests on one route; None for the platform's.
        limit_hour: likewise.
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
    limit_minute: int | None = None
    limit_hour: int | None = None

    @property
    def is_served(self) -> bool:
        """Whether its customers are answered."""
        return self.state == "active"
