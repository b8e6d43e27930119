"""The embedded PostgreSQL with standbys, as an instance uses it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.replicas.figures import figures
from cluster.replicas.group import Group
from cluster.replicas.member import Member
from cluster.replicas.promotion import Promotion
from cluster.replicas.roles import Roles
from cluster.replicas.starting import Starting


class ReplicatedPostgres:
    """Servers that start, follow each other, and change roles. All in one event loop."""

    def __init__(self, data_dir: Path, run_dir: Path, roles: Roles, **options: Any) -> None:
        """Start nothing yet; arguments as of ``Group``."""
        self._group = Group(data_dir, run_dir, roles, **options)
        Starting(self._group)
        self._promotion = Promotion(self._group)

    @property
    def parts(self) -> list[Member]:
        """The servers, to be started side by side."""
        return self._group.parts

    @property
    def primary(self) -> Member:
        """The one that takes writes."""
        return self._group.primary

    @property
    def dsn(self) -> str:
        """The superuser's, of all servers, naming no database."""
        return self._group.dsn

    def tell(self, told: Callable[[Member, str], None], remarks: Callable[[str], None]) -> None:
        """Say who is to be told when a server has another role, and of what else is remarkable."""
        self._group.told, self._group.remarks = told, remarks

    async def figures(self) -> dict[str, Any]:
        """Roles, positions and lag, see ``cluster.replicas.figures``."""
        return await figures(self._group)

    async def promote(self, *, switchover: bool = False, force: bool = False) -> dict[str, Any]:
        """Make the standby that has most the primary, see ``Promotion.run``."""
        return await self._promotion.run(switchover=switchover, force=force)
