"""A simple model of one queue: what waits, what flies, and how old each message is. Knows nothing of the core."""

from collections.abc import Mapping
from itertools import takewhile, zip_longest
from typing import NamedTuple

from config.topology import Queue

# No sum of the steps of time, for at the very moment of its expiry rounding decides whether a message is over.
BATCH, PREFETCH, KEY_RUN, LEASE_S, STEP_S, TTL_S = 4, 6, 3, 10.0, 5.0, 60.013
MAX_RETRIES, DELIVERY_LIMIT = 2, 2
WEIGHTS = {"heavy": 2}
PARTITIONS = (0, 1)
EPSILON = 1e-6
IN_MEMORY, PAGE, ENOUGH = 6, 3, 2
KINDS = ("ack", "later", "reject", "lost", "unreached", "raised", "raised alone")
TENANTS = ("heavy", "light", "small")
# What a frozen key's messages may be late, see ``shelf``.
LATE_S = 1.0
QUEUE = Queue.model_validate(
    {
        "name": "q", "bindings": [{"exchange": "x"}], "max_retries": MAX_RETRIES, "delivery_limit": DELIVERY_LIMIT,
        "batch": BATCH, "prefetch": PREFETCH, "key_run": KEY_RUN, "ttl_ms": int(TTL_S * 1000), "priority": True,
        "priority_step_s": STEP_S, "weights": WEIGHTS, "lease_s": LEASE_S,
    }
)  # fmt: skip

Place = tuple[int, int]


class Record:
    """One message that was published and is not over."""

    def __init__(self, place: Place, key: str, tenant: str, *, priority: int, ttl_s: float, since: float) -> None:
        self.place, self.key, self.tenant, self.priority = place, key, tenant, priority
        self.ttl_s, self.since = ttl_s, since
        self.age_s = self.deferred_s = self.not_before = 0.0
        self.unaged_s = 0.0  # of the partition's clock, held up by its key's first message
        self.lost = self.retries = 0
        self.suspect = self.in_memory = False

    @property
    def expired(self) -> bool:
        return self.age_s >= self.ttl_s - EPSILON


class Flight(NamedTuple):
    record: Record
    until: float


class QueueModel:
    """Lists and dictionaries, searched through."""

    def __init__(self) -> None:
        self.now = 0.0
        self.there: dict[Place, Record] = {}
        self.flying: dict[int, Flight] = {}
        self.old_tags: list[int] = []
        self.deferred: dict[str, float] = {}
        # Expired ones that were met when their turn came: they are out, and told of at the next look.
        self.met_over: set[tuple[int, int]] = set()
        self.blocked: set[int] = set()
        self.up = True
        self.others_first = False
        # Deliveries of other tenants that a tenant has watched since it could be served; and suspects among themselves.
        self.watched: dict[str, int] = {}
        self.suspects_watched: dict[str, int] = {}

    def elapse(self, seconds: float) -> None:
        self.now += seconds
        for one in self.there.values():
            held_up = one.in_memory and one.key in self.deferred
            if self.up and one.place[0] not in self.blocked:
                one.unaged_s += seconds * held_up
                one.age_s += seconds * (not held_up)

    def is_flying(self, one: Record) -> bool:
        return any(flight.record is one for flight in self.flying.values())

    @property
    def suspect_flies(self) -> bool:
        return any(flight.record.suspect for flight in self.flying.values())

    def is_up(self, key: str) -> bool:
        """Whether any message of a key flies."""
        return any(flight.record.key == key for flight in self.flying.values())

    def holds_up(self, key: str) -> None:
        """A key that was in flight, or has another first message: that one may be deferred."""
        theirs = (one for one in self.there.values() if one.key == key and one.in_memory)
        first = next((one for one in theirs if one.place not in self.met_over), None)
        if first is not None and not self.is_up(key) and first.not_before > self.now:
            self.deferred[key] = first.not_before

    def followers(self, heads: list[Record], room: int) -> list[Record]:
        """What goes with messages that are taken now: of each key in turn one more."""
        runs = [self._after(one) for one in heads]
        rounds = [one for following in zip_longest(*runs) for one in following if one is not None]
        return rounds[:room]

    def _after(self, head: Record) -> list[Record]:
        others = [one for one in self.there.values() if one.key == head.key and one.in_memory and one is not head]
        others = [one for one in others if one.place > head.place]
        return list(takewhile(lambda one: not (one.suspect or one.expired or one.not_before > self.now), others))[
            : KEY_RUN - 1
        ]

    def heads(self) -> list[Record]:
        """Of each key in memory that could be delivered now, its first message."""
        first: dict[str, Record] = {}
        for one in self.there.values():  # in the order of arrival
            if one.in_memory and (self.is_flying(one) or not one.expired):
                first.setdefault(one.key, one)
        return [
            one
            for one in first.values()
            if one.key not in self.deferred and one.place[0] not in self.blocked and not self.is_up(one.key)
        ]

    def urgency(self, key: str) -> float:
        """Of the most urgent message of a key that waits in memory."""
        return max(
            one.priority + (self.now - one.since) / STEP_S
            for one in self.there.values()
            if one.key == key and one.in_memory and not one.expired
        )

    def over(self, one: Record) -> None:
        del self.there[one.place]

    def forget_turns(self) -> None:
        self.watched.clear()
        self.suspects_watched.clear()

    def is_fair(self, ready: list[Record], taken: list[Record], watched: dict[str, int]) -> None:
        left = {tenant: sum(one.tenant == tenant for one in ready) for tenant in TENANTS}
        for one in taken:
            for tenant in TENANTS:
                waits = left[tenant] > 0 and tenant != one.tenant
                watched[tenant] = watched.get(tenant, 0) + 1 if waits else 0
                others = sum(WEIGHTS.get(other, 1) for other in TENANTS if other != tenant)
                assert watched[tenant] <= others, f"{tenant} watches the others longer than their weight"
            left[one.tenant] -= 1
        for tenant in TENANTS:
            if not left[tenant]:
                watched[tenant] = 0

    def is_urgent(self, ready: list[Record], taken: list[Record], urgency: Mapping[str, float]) -> None:
        for tenant in TENANTS:
            order = [urgency[one.key] for one in taken if one.tenant == tenant]
            left = [urgency[one.key] for one in ready if one.tenant == tenant and one not in taken]
            assert all(one >= other - EPSILON for one, other in zip(order, [*order, *left][1:], strict=False))
            assert not (order and left) or min(order) >= max(left) - EPSILON, "a less urgent key went first"
