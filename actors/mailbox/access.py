"""How a mailbox actor reaches its journals, and who it is there."""

from typing import NamedTuple


class JournalAccess(NamedTuple):
    """Where the journals are and as whom to go there. Holds a secret.

    Attributes:
        dsn_template: of the shards, without user and password (``ShardAccess.dsn_template``).
        system_password: of the role ``spaza_system``.
        instance_id: of this installation; the actor that comes back under the same one takes over at once.
    """

    dsn_template: str
    system_password: str
    instance_id: str

    def __repr__(self) -> str:
        return f"JournalAccess({self.dsn_template!r}, instance_id={self.instance_id!r})"
