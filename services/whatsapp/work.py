"""The units of work of a batch: one for each tenant's messages, one for its statuses, one a shard for the rest."""

from collections.abc import Iterable
from typing import NamedTuple

from actors.shards.placement import shard_of
from actors.shards.unit import UnitCall
from services.tenants.tenant import Tenant
from services.whatsapp.conversation import Merchant
from services.whatsapp.inbound import InboundEvent, InboundMessage, StatusUpdate
from services.whatsapp.item import Item
from services.whatsapp.store import (
    PLATFORM_EVENTS,
    RECEIVE,
    STATUSES,
    PlatformEventsArguments,
    ReceiveArguments,
    StatusesArguments,
    statuses_call,
)


class Work(NamedTuple):
    """One unit of work to be, with the deliveries that it serves, in order.

    Attributes:
        tenant: None for what belongs to no tenant.
    """

    unit: str
    shard: int
    tenant: Tenant | None
    items: tuple[Item, ...]
    now: float

    @property
    def tenant_id(self) -> str:
        """Empty for a system unit."""
        return "" if self.tenant is None else self.tenant.tenant_id

    def call(self) -> UnitCall:
        """As the shards take it."""
        if self.unit == STATUSES:
            statuses = [item.inbound for item in self.items if isinstance(item.inbound, StatusUpdate)]
            return statuses_call(self.shard, self.tenant_id, StatusesArguments(statuses, self.now))
        return UnitCall(self.unit, self.shard, self.tenant_id, self._arguments())

    def _arguments(self) -> ReceiveArguments | PlatformEventsArguments:
        inbound = [item.inbound for item in self.items]
        if self.tenant is None:
            return PlatformEventsArguments([one for one in inbound if isinstance(one, InboundEvent)], self.now)
        received = [one for one in inbound if isinstance(one, InboundMessage | InboundEvent)]
        return ReceiveArguments(Merchant(self.tenant.name), received, self.now)


def group(assigned: Iterable[tuple[Tenant | None, Item]], now: float) -> list[Work]:
    """Put what belongs together into one unit.

    Args:
        assigned: each item with the tenant whose number received it; None only for events.
        now: Unix seconds.
    """
    groups: dict[tuple[str, int, str], tuple[Tenant | None, list[Item]]] = {}
    for tenant, item in assigned:
        if tenant is None:
            assert isinstance(item.inbound, InboundEvent)
            key = (PLATFORM_EVENTS, shard_of(item.inbound.waba_id), "")
        else:
            unit = STATUSES if isinstance(item.inbound, StatusUpdate) else RECEIVE
            key = (unit, tenant.shard, tenant.tenant_id)
        groups.setdefault(key, (tenant, []))[1].append(item)
    return [Work(unit, shard, tenant, tuple(items), now) for (unit, shard, _), (tenant, items) in groups.items()]
