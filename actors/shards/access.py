"""How the ShardPool actors reach their shards: under which roles, with how many connections and how much patience."""

from typing import NamedTuple, Self

from actors.shards.dsn import without_credentials
from actors.shards.roles import APP_ROLE, SYSTEM_ROLE, role_password


class PoolLimits(NamedTuple):
    """What one shard's pool may use. All 32 share the server's ``max_connections``.

    Attributes:
        app_connections: at most, for units in a tenant's context.
        system_connections: at most, for system units.
        min_idle: connections of one role that are kept once the shard has been used.
        waiting: units of one role that may be under way or wait at one shard, at most half of them one tenant's; more
            are refused.
        attempts: how often a unit is tried that lost against another (serialization, deadlock, lost connection).
        statements: prepared statements kept on a connection. A tenant's have its schema in their text.
        connect_s: patience for a new connection.
        rollback_s: patience for a roll-back, after which the connection is thrown away.
        idle_s: after so much idleness a connection is closed, unless it is one of ``min_idle``.
    """

    app_connections: int = 5
    system_connections: int = 2
    min_idle: int = 1
    waiting: int = 1_000
    attempts: int = 4
    statements: int = 512
    connect_s: float = 5.0
    rollback_s: float = 1.0
    idle_s: float = 300.0


class ShardAccess(NamedTuple):
    """Where the shards are and as whom to go there. Holds secrets, but never the owner's.

    Attributes:
        dsn_template: without user and password.
        app_password: of the role ``spaza_app``.
        system_password: of the role ``spaza_system``.
    """

    dsn_template: str
    app_password: str
    system_password: str
    limits: PoolLimits = PoolLimits()

    @classmethod
    def derive(cls, dsn_template: str, sealing_key_b64: str, limits: PoolLimits | None = None) -> Self:
        """Access under the derived passwords; the owner's credentials in the template are left out."""
        return cls(
            without_credentials(dsn_template),
            role_password(sealing_key_b64, APP_ROLE),
            role_password(sealing_key_b64, SYSTEM_ROLE),
            PoolLimits() if limits is None else limits,
        )

    def __repr__(self) -> str:
        return f"ShardAccess({self.dsn_template!r}, limits={self.limits!r})"
