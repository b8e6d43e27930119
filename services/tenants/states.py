"""The states of a tenant's placement, and which follows which.

active <-> suspended        its customers are not answered, its calls are refused; nothing is lost
active, suspended -> removing    it is nobody's; its rows can be exported, and it can be resumed
removing -> dropping        no way back: schema, numbers and credentials go
dropping -> removed         all of it is gone; the row is kept a while, so that nothing late brings it back
"""

from typing import Final

ACTIVE: Final = "active"
SUSPENDED: Final = "suspended"
REMOVING: Final = "removing"
DROPPING: Final = "dropping"
REMOVED: Final = "removed"
# The directory knows no tenant in these.
GONE: Final = frozenset({REMOVING, DROPPING, REMOVED})
