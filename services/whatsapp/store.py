"""The units of work of the processor: what Meta told, and what follows from it, in one transaction a tenant.

A unit may run twice for the same messages, and has one effect.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from actors.mailbox.message import CAUSATION_ID, Message
from actors.shards.unit import Transaction, UnitCall, UnitFunction
from kernel.identifiers import new_id
from kernel.sql import load_queries
from services.outgoing.message import encode
from services.outgoing.wamid_locks import wamid_locks
from services.whatsapp.conversation import Conversation, Merchant, Reply, Stage, step
from services.whatsapp.customers import Customers
from services.whatsapp.inbound import InboundEvent, InboundMessage, StatusUpdate
from telemetry.log import get_logger

RECEIVE = "whatsapp.receive"
STATUSES = "whatsapp.statuses"
PLATFORM_EVENTS = "whatsapp.platform_events"
MAINTAIN = "whatsapp.maintain"
NOTIFICATIONS = "notifications"
ROUTING_KEY = "outgoing.reply"
# By Meta's time; it delivers again for seven days.
DAYS_KEPT, WEEKS_AHEAD = 30, 1

_QUERIES = load_queries(Path(__file__).with_name("queries.sql"))
_log = get_logger("whatsapp")


class ReceiveArguments(NamedTuple):
    """What a tenant received, in the order of arrival. ``now`` in Unix seconds."""

    merchant: Merchant
    received: Sequence[InboundMessage | InboundEvent]
    now: float


class ReceiveResult(NamedTuple):
    """How many were new, how many had been recorded before, and how many replies go out."""

    fresh: int
    duplicates: int
    replies: int


class StatusesArguments(NamedTuple):
    """Statuses of one tenant's messages, in any order. ``now`` in Unix seconds."""

    statuses: Sequence[StatusUpdate]
    now: float


class PlatformEventsArguments(NamedTuple):
    """Events that belong to no tenant. ``now`` in Unix seconds."""

    events: Sequence[InboundEvent]
    now: float


class _Outgoing(NamedTuple):
    conversation: Conversation
    phone_number_id: str
    reply: Reply
    cause: InboundMessage


def statuses_call(shard: int, tenant_id: str, arguments: StatusesArguments) -> UnitCall:
    """The call of ``keep_statuses``, with the locks that it needs."""
    unnamed = (one.wamid for one in arguments.statuses if one.message_id is None and one.rank >= 0)
    return UnitCall(STATUSES, shard, tenant_id, arguments, wamid_locks(tenant_id, unnamed))


async def receive(transaction: Transaction, arguments: ReceiveArguments) -> ReceiveResult:
    """Record what is new, step the conversations, and publish the replies."""
    now = datetime.fromtimestamp(arguments.now, UTC)
    received = {_key(one): one for one in reversed(arguments.received)}
    in_order = list(reversed(received.items()))
    customers = [one.customer for _, one in in_order if isinstance(one, InboundMessage) and one.customer is not None]
    rows = await transaction.fetch(
        _QUERIES["receive"],
        [key[0] for key, _ in in_order],
        [key[1] for key, _ in in_order],
        [one.type if isinstance(one, InboundMessage) else f"event:{one.field}" for _, one in in_order],
        [one.body for _, one in in_order],
        transaction.tenant_id,
        now,
        [customer.user_id for customer in customers if customer.user_id is not None],
        [customer.phone for customer in customers if customer.phone is not None],
    )
    fresh = {(row["id"], row["at"]) for row in rows if row["fresh"]}
    known = Customers(_conversation(row) for row in rows if not row["fresh"])
    outgoing = _converse(
        known, [one for key, one in in_order if key in fresh and isinstance(one, InboundMessage)], arguments
    )
    await _write(transaction, known.changed(), outgoing, arguments.now)
    return ReceiveResult(len(fresh), len(arguments.received) - len(fresh), len(outgoing))


async def keep_statuses(transaction: Transaction, arguments: StatusesArguments) -> int:
    """Keep statuses and move the messages up; returns how many met no message of ours, yet or at all."""
    statuses = arguments.statuses
    row = await transaction.fetchrow(
        _QUERIES["keep_statuses"],
        [one.wamid for one in statuses],
        [one.state for one in statuses],
        [one.participant for one in statuses],
        [one.rank for one in statuses],
        [one.at for one in statuses],
        [one.message_id for one in statuses],
        [one.error_code for one in statuses],
        [one.body for one in statuses],
        datetime.fromtimestamp(arguments.now, UTC),
    )
    unmatched: int = row["unmatched"]
    return unmatched


async def keep_platform_events(transaction: Transaction, arguments: PlatformEventsArguments) -> None:
    """Keep events that belong to no tenant; a system unit on the shard of the account's id."""
    events = arguments.events
    await transaction.execute(
        _QUERIES["keep_platform_events"],
        [one.id for one in events],
        [one.waba_id for one in events],
        [one.field for one in events],
        [one.occurred_at for one in events],
        [one.body for one in events],
        datetime.fromtimestamp(arguments.now, UTC),
    )


async def maintain(transaction: Transaction, _arguments: None) -> None:
    """Make room for the coming weeks and let go of what is over; a system unit, on every shard."""
    row = await transaction.fetchrow(_QUERIES["maintain"], WEEKS_AHEAD, DAYS_KEPT)
    if any(row):
        _log.info("inbound_maintained", shard=transaction.shard, **dict(row))


UNITS: Mapping[str, UnitFunction] = MappingProxyType(
    {RECEIVE: receive, STATUSES: keep_statuses, PLATFORM_EVENTS: keep_platform_events, MAINTAIN: maintain}
)


def _key(one: InboundMessage | InboundEvent) -> tuple[str, datetime]:
    return one.id, one.sent_at if isinstance(one, InboundMessage) else one.occurred_at


def _converse(customers: Customers, messages: Sequence[InboundMessage], arguments: ReceiveArguments) -> list[_Outgoing]:
    outgoing: list[_Outgoing] = []
    for message in messages:
        if message.customer is None:
            continue
        stepped, replies = step(
            customers.conversation_of(message.customer, message.sent_at), message, arguments.merchant
        )
        customers.put(stepped)
        outgoing += [_Outgoing(stepped, message.phone_number_id, reply, message) for reply in replies]
    return outgoing


async def _write(
    transaction: Transaction, changed: Sequence[Conversation], outgoing: Sequence[_Outgoing], now: float
) -> None:
    if not changed:
        return
    messages = [_message(one, transaction.tenant_id, now) for one in outgoing]
    await transaction.execute_and_publish(
        _QUERIES["converse"],
        [one.id for one in changed],
        [one.user_id for one in changed],
        [one.phone for one in changed],
        [one.name for one in changed],
        [one.stage.value for one in changed],
        [one.last_inbound_at for one in changed],
        [one.merged_into for one in changed],
        datetime.fromtimestamp(now, UTC),
        [message.id for message in messages],
        [one.conversation.id for one in outgoing],
        [one.phone_number_id for one in outgoing],
        [orjson.dumps(one.reply.payload).decode() for one in outgoing],
        exchange=NOTIFICATIONS,
        routing_key=ROUTING_KEY,
        messages=messages,
    )


def _message(outgoing: _Outgoing, tenant_id: str, now: float) -> Message:
    conversation, phone_number_id, reply, cause = outgoing
    # With the plus; without it Meta may put the business's own country code before it.
    recipient = {"to": f"+{conversation.phone}"} if conversation.phone else {"recipient": conversation.user_id or ""}
    return Message(
        id=new_id(),
        key=f"{phone_number_id}:{conversation.id}",
        tenant=tenant_id,
        body=encode(phone_number_id, recipient, reply.payload),
        headers={"correlation_id": cause.correlation_id, CAUSATION_ID: cause.id},
        published_at=now,
        priority=reply.priority,
    )


def _conversation(row: Any) -> Conversation:
    return Conversation(
        id=row["id"],
        user_id=row["user_id"],
        phone=row["phone"],
        name=row["name"],
        stage=Stage(row["stage"]),
        last_inbound_at=row["at"],
        merged_into=row["merged_into"],
    )
