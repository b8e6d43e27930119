"""How a process reaches the actors and Redis: the composition root passes it to replicas, which make their own."""

from typing import NamedTuple

from actors.mailbox.handle import MailboxHandle
from actors.mailbox.last_resort import ShardLastResort
from actors.mailbox.operator_handle import MailboxOperator
from actors.rate_limiter.handle import RateLimiterHandle
from actors.shards.handle import ShardsHandle
from actors.shards.unit import UnitRunner
from cache.connection import RedisConnection
from config.topology import Topology
from services.tenants.announcing import RedisChangeBus
from services.tenants.directory import TenantDirectory
from services.tenants.shared_cache import RedisTenantCache


class Handles(NamedTuple):
    """Makes handles, for the process in which it is asked; holds none itself, so it can be pickled.

    Attributes:
        topology: of the mailboxes.
        redis_url: with its password.
        shards_per_actor: shards of one actor.
        limiters: how many actors count.
    """

    topology: Topology
    redis_url: str
    shards_per_actor: int
    limiters: int

    def shards(self) -> ShardsHandle:
        """Of the shards."""
        return ShardsHandle(self.shards_per_actor)

    def mailbox(self) -> MailboxHandle:
        """Of the mailboxes."""
        return MailboxHandle(self.topology)

    def lasting_mailbox(self) -> MailboxHandle:
        """Of the mailboxes, one that puts what cannot be published onto the shards."""
        return MailboxHandle(self.topology, last_resort=ShardLastResort(self.shards()))

    def operator(self) -> MailboxOperator:
        """Of the mailboxes, for operators."""
        return MailboxOperator(self.topology)

    def rate_limiters(self) -> RateLimiterHandle:
        """Of the rate limiters."""
        return RateLimiterHandle(self.limiters)

    def redis(self) -> RedisConnection:
        """A connection to Redis, which is opened when it is used first."""
        return RedisConnection(self.redis_url)

    @staticmethod
    def directory(shards: UnitRunner, redis: RedisConnection) -> TenantDirectory:
        """The directory of tenants, over what the process has already."""
        return TenantDirectory(shards, RedisTenantCache(redis), bus=RedisChangeBus(redis))

    def __repr__(self) -> str:
        return "Handles(***)"
