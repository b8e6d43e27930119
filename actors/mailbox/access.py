"""How a mailbox actor reaches its journals, and who it is there."""

from typing import NamedTuple, Self

from actors.mailbox.exchange import shard_of_partition
from actors.shards.dsn import shard_dsn, without_credentials
from actors.shards.roles import SYSTEM_ROLE


class JournalAccess(NamedTuple):
    """Where the journals are and as whom to go there. Holds a secret.

    Attributes:
        dsn_template: of the shards, without user and password (``ShardAccess.dsn_template``).
        system_password: of the role ``spaza_system``.
        instance_id: of this installation; the actor that is started anew under the same one takes over at once.
        sharded: False where one database has the journals of all partitions, reached as the DSN says.
    """

    dsn_template: str
    system_password: str
    instance_id: str
    sharded: bool = True

    @classmethod
    def to(cls, dsn: str, instance_id: str = "library") -> Self:
        """To the one database of a program that knows no shards, as the user that the DSN names.

        Give each program that shares the database an id of its own. Of two under one id the later takes the queues
        over at once; under different ids it waits until the other has stopped or died.
        """
        return cls(dsn, "", instance_id, sharded=False)

    def dsn(self, partition: int) -> str:
        """Where a partition has its journal, and as whom to go there."""
        if not self.sharded:
            return self.dsn_template
        return shard_dsn(self.dsn_template, shard_of_partition(partition), SYSTEM_ROLE, self.system_password)

    def __repr__(self) -> str:
        return f"JournalAccess({without_credentials(self.dsn_template)!r}, instance_id={self.instance_id!r})"
