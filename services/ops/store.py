"""All SQL of operating, as units of work."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from actors.shards.unit import Transaction, UnitFunction
from kernel.sql import load_queries

_SQL = load_queries(Path(__file__).with_name("queries.sql"))

BEGIN_ACTION: Final = "ops.begin_action"
END_ACTION: Final = "ops.end_action"
READ_ACTIONS: Final = "ops.read_actions"
FORGET_ACTIONS: Final = "ops.forget_actions"
PARTITIONS_SEEN: Final = "ops.partitions_seen"
TRACE_IDS: Final = "ops.trace_ids"
FIND_BY_HEADER: Final = "ops.find_by_header"
FIND_DEAD_BY_END: Final = "ops.find_dead_by_end"
NUMBERS: Final = "ops.numbers"
STATUSES_OF: Final = "ops.statuses_of"
OUTGOING_STATES: Final = "ops.outgoing_states"
DAYS_KEPT: Final = 400


class ActionBegun(NamedTuple):
    """An action that an operator begins; ``request`` is JSON."""

    action_id: str
    began_at: float
    operator: str
    peer: str
    action: str
    queue: str
    request: str


class ActionEnded(NamedTuple):
    """How it ended; ``outcome`` is JSON."""

    action_id: str
    ended_at: float
    outcome: str


class ActionsWanted(NamedTuple):
    """Which actions to read, the latest first."""

    limit: int
    before: float | None
    queue: str | None


class ActionRow(NamedTuple):
    """An action as it was recorded; ``request`` and ``outcome`` are JSON."""

    action_id: str
    began_at: float
    operator: str
    peer: str
    action: str
    queue: str
    request: str
    ended_at: float | None
    outcome: str | None


class Whereabouts(NamedTuple):
    """Ids of rows, and the queues' partitions in which a shard is to look for them."""

    ids: list[str]
    queues: list[str]
    partitions: list[int]


class HeaderWanted(NamedTuple):
    """Texts in headers, of which one will do, and when what bears it was published, in Unix seconds."""

    texts: list[bytes]
    since: float
    until: float


class EndWanted(NamedTuple):
    """How ids of dead letters end."""

    queues: list[str]
    end: str


class TracedRow(NamedTuple):
    """A row of the journal and what became of it."""

    queue: str
    partition: int
    seq: int
    stored_id: str
    tenant: str
    key: str
    published_at: float
    headers: bytes
    size_bytes: int
    outcome: str | None
    reason: str | None
    deliveries: int | None
    settled_at: float | None
    retries: int | None
    lost: int | None
    not_before: float | None
    retry_reason: str | None


class OutgoingState(NamedTuple):
    """What a tenant's shard knows of a message that went out."""

    id: str
    state: str
    wamid: str | None
    state_at: float
    error_code: int | None


async def begin_action(transaction: Transaction, action: ActionBegun) -> None:
    await transaction.execute(_SQL["begin_action"], *action)


async def end_action(transaction: Transaction, action: ActionEnded) -> None:
    await transaction.execute(_SQL["end_action"], *action)


async def read_actions(transaction: Transaction, wanted: ActionsWanted) -> list[ActionRow]:
    return [ActionRow(*row) for row in await transaction.fetch(_SQL["read_actions"], *wanted)]


async def forget_actions(transaction: Transaction, _arguments: None) -> None:
    await transaction.execute(_SQL["forget_actions"], DAYS_KEPT)


async def partitions_seen(transaction: Transaction, _arguments: None) -> list[tuple[str, int]]:
    """Queue and number of each partition that ever had an owner on this shard."""
    return [(row["queue"], row["partition"]) for row in await transaction.fetch(_SQL["partitions_seen"])]


async def trace_ids(transaction: Transaction, wanted: Whereabouts) -> list[TracedRow]:
    return [TracedRow(*row) for row in await transaction.fetch(_SQL["trace_ids"], *wanted)]


async def find_by_header(transaction: Transaction, wanted: HeaderWanted) -> list[str]:
    return [row[0] for row in await transaction.fetch(_SQL["find_by_header"], *wanted)]


async def find_dead_by_end(transaction: Transaction, wanted: EndWanted) -> list[str]:
    return [row[0] for row in await transaction.fetch(_SQL["find_dead_by_end"], wanted.queues, _literal(wanted.end))]


async def numbers(transaction: Transaction, _arguments: None) -> list[str]:
    return [row[0] for row in await transaction.fetch(_SQL["numbers"])]


async def statuses_of(transaction: Transaction, wanted: Whereabouts) -> list[bytes]:
    return [bytes(row[0]) for row in await transaction.fetch(_SQL["statuses_of"], *wanted)]


async def outgoing_states(transaction: Transaction, ids: list[str]) -> list[OutgoingState]:
    return [OutgoingState(*row) for row in await transaction.fetch(_SQL["outgoing_states"], ids)]


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


UNITS: Mapping[str, UnitFunction] = MappingProxyType(
    {
        BEGIN_ACTION: begin_action,
        END_ACTION: end_action,
        READ_ACTIONS: read_actions,
        FORGET_ACTIONS: forget_actions,
        PARTITIONS_SEEN: partitions_seen,
        TRACE_IDS: trace_ids,
        FIND_BY_HEADER: find_by_header,
        FIND_DEAD_BY_END: find_dead_by_end,
        NUMBERS: numbers,
        STATUSES_OF: statuses_of,
        OUTGOING_STATES: outgoing_states,
    }
)
