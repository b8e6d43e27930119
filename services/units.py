"""The units of work of all services, which the ShardPool actors find by import path.

It stands apart from the composition root so that those actors import neither Serve nor a client.
"""

from typing import Final

from actors.mailbox import last_resort
from actors.shards.unit import registry
from services.catalog import store as catalog
from services.notifications import store as notifications
from services.ops import store as ops
from services.tenants import store as tenants
from services.whatsapp import store as whatsapp

UNITS: Final = registry(tenants.UNITS, catalog.UNITS, whatsapp.UNITS, notifications.UNITS, ops.UNITS, last_resort.UNITS)
# What each shard needs from time to time.
CHORES: Final = (whatsapp.MAINTAIN, ops.FORGET_ACTIONS)
