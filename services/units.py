"""The units of work of all services, which the ShardPool actors find by import path.

It stands apart from the composition root so that those actors import neither Serve nor a client.
"""

from typing import Final

from actors.mailbox import last_resort
from actors.shards import tenant_rows
from actors.shards.unit import registry
from services.catalog import store as catalog
from services.notifications import store as notifications
from services.ops import store as ops
from services.tenants import admin_store as tenants_admin
from services.tenants import move_store, sealed_store
from services.tenants import store as tenants
from services.whatsapp import store as whatsapp

UNITS: Final = registry(
    tenants.UNITS,
    tenants_admin.UNITS,
    sealed_store.UNITS,
    move_store.UNITS,
    tenant_rows.UNITS,
    catalog.UNITS,
    whatsapp.UNITS,
    notifications.UNITS,
    ops.UNITS,
    last_resort.UNITS,
)
# What each shard needs from time to time.
CHORES: Final = (whatsapp.MAINTAIN, ops.FORGET_ACTIONS, tenants_admin.FORGET_OLD)
