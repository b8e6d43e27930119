"""A tenant as the way of a message needs it."""

from typing import NamedTuple


class Tenant(NamedTuple):
    """A tenant, seen from one of its phone numbers.

    Attributes:
        shard: where its schema is.
        epoch: of its placement; grows when it moves.
        state: ``active``, or why it is not served.
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
