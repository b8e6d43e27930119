"""A unit of work: a registered function that runs beside a shard's pool, in one transaction, for one tenant.

The function's name and arguments cross the process border, not its statements, so that reading, deciding and
writing see one state. It awaits nothing but its transaction, calls no other actor, and is short.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from actors.mailbox.message import Message, PublishedRow
from kernel.errors import SpazaError


class Transaction(Protocol):
    """What a unit of work may do: statements on its shard in its tenant's context, and publishing with the change.

    Attributes:
        tenant_id: whose context it is; empty for a system unit, which sees the shared tables alone.
        schema: the tenant's schema, safe to put into a statement's ``{schema}``.
        shard: 0 to 31.
    """

    tenant_id: str
    schema: str
    shard: int

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        """Rows of a statement; ``{schema}`` in it is replaced by the tenant's schema."""

    async def fetchrow(self, query: str, *arguments: Any) -> Any:
        """The first row or None."""

    async def execute(self, query: str, *arguments: Any) -> None:
        """A statement whose rows do not matter."""

    async def publish(self, exchange: str, routing_key: str, messages: Sequence[Message]) -> None:
        """Write messages into this shard's journal, in this transaction, routed by the topology."""

    async def execute_and_publish(
        self, query: str, *arguments: Any, exchange: str, routing_key: str, messages: Sequence[Message]
    ) -> None:
        """Do both in one round trip, with messages or without.

        Args:
            query: a ``WITH`` that ends in ``{publish}`` where its main statement would stand.
            arguments: of the query.
            exchange: as with ``publish``, and so the other two.
            routing_key: for the bindings.
            messages: to be published.
        """


UnitFunction = Callable[[Transaction, Any], Awaitable[Any]]


class UnitCall(NamedTuple):
    """One unit of work to run.

    Attributes:
        name: of the registered function, such as ``whatsapp.receive``.
        shard: where.
        tenant_id: in whose context; empty runs it under the system role, on the shared tables alone.
        arguments: anything that pickles.
        locks: keys of advisory locks, 64-bit and signed, held from before the unit's first statement until its
            transaction ends. So that statement sees what whoever held them before has committed.
        timeout_s: its own patience, from its arrival at the pool, where it is less than that of the call.
        max_staleness_s: it only reads, and may miss what was confirmed within so many seconds. It is run on a standby
            that has all that is older, where the DSN lists several servers and one is so fresh; else on the primary.
        correlation_id: under which what it is done for is followed; empty where that is not one thing.
    """

    name: str
    shard: int
    tenant_id: str
    arguments: Any
    locks: tuple[int, ...] = ()
    timeout_s: float | None = None
    max_staleness_s: float | None = None
    correlation_id: str = ""


class UnitOutcome(NamedTuple):
    """How one unit ended: its value and what it published, or its error; then nothing of it is there.

    An ``error`` that is a ``CommitUnknownError`` is the exception: it may be there.
    """

    value: Any
    published: tuple[PublishedRow, ...]
    error: SpazaError | None

    def unwrap(self) -> Any:
        """The value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value


class UnitRunner(Protocol):
    """What runs units of work: ``ShardsHandle``, or the pools themselves in a test."""

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        """An outcome for each call, in their order; errors stand inside."""


async def run_one(units: UnitRunner, call: UnitCall, *, timeout_s: float) -> Any:
    """The value of a single unit, or raise its error."""
    [outcome] = await units.run([call], timeout_s=timeout_s)
    return outcome.unwrap()


def registry(*groups: Mapping[str, UnitFunction]) -> Mapping[str, UnitFunction]:
    """Put the units of several stores together.

    Raises:
        ValueError: two of them have the same name.
    """
    together: dict[str, UnitFunction] = {}
    for group in groups:
        for name, function in group.items():
            if name in together:
                raise ValueError(f"the unit of work {name} is registered twice")
            together[name] = function
    return MappingProxyType(together)
