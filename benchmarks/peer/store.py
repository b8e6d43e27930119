"""The peer's reads and writes in PostgreSQL: one transaction decides a message, another statement records its wamid."""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import asyncpg
import orjson
from redis.asyncio import Redis

from benchmarks.peer.schemas import QueuedMessage
from kernel.identifiers import new_id
from kernel.sql import load_queries

_QUERIES = load_queries(Path(__file__).with_name("queries.sql"))
_TENANT_CACHE_S = 3600


class Tenant(NamedTuple):
    tenant_id: str
    phone_number_id: str
    name: str
    access_token: str


class Reply(NamedTuple):
    """A message that is to be sent: its own id, and the Graph API's body."""

    id: str
    payload: dict[str, object]


class PeerStore:
    """Cache-aside for tenants, transactions for messages."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", redis: Redis) -> None:
        self._pool = pool
        self._redis = redis

    async def tenant(self, phone_number_id: str) -> Tenant | None:
        """By the receiving number: from Redis, else from PostgreSQL."""
        key = f"tenant:phone:{phone_number_id}"
        cached = await self._redis.get(key)
        if cached is not None:
            return Tenant(*orjson.loads(cached))
        row = await self._pool.fetchrow(_QUERIES["tenant_by_phone"], phone_number_id)
        if row is None:
            return None
        tenant = Tenant(*row)
        await self._redis.set(key, orjson.dumps(list(tenant)), ex=_TENANT_CACHE_S)
        return tenant

    async def decide(self, tenant: Tenant, queued: QueuedMessage) -> Reply | None:
        """Write the message, its conversation's step and its reply in one transaction.

        Returns:
            the reply to send; None where the message is a duplicate.
        """
        message = queued.message
        sent_at = datetime.fromtimestamp(int(message.timestamp), UTC)
        reply = _greeting(tenant, message.sender, queued.name)
        async with self._pool.acquire() as connection, connection.transaction():
            inserted = await connection.fetchval(
                _QUERIES["insert_inbound"],
                tenant.tenant_id,
                message.id,
                sent_at,
                message.type,
                message.model_dump_json(by_alias=True).encode(),
            )
            if inserted is None:
                return None
            await connection.execute(
                _QUERIES["step_conversation"], tenant.tenant_id, message.sender, queued.name, sent_at
            )
            await connection.execute(
                _QUERIES["insert_outgoing"],
                reply.id,
                tenant.tenant_id,
                message.sender,
                orjson.dumps(reply.payload).decode(),
            )
        return reply

    async def record_sent(self, reply_id: str, wamid: str) -> None:
        """Keep the id under which Meta will report what becomes of the reply."""
        await self._pool.execute(_QUERIES["record_sent"], reply_id, wamid)


def _greeting(tenant: Tenant, customer: str, name: str | None) -> Reply:
    reply_id = new_id()
    called = f" {name}" if name else ""
    text = (
        f"Hello{called}, welcome to {tenant.name}! \N{WAVING HAND SIGN}\n"
        "Thank you for writing to us. What can we get for you today?"
    )
    return Reply(
        reply_id,
        {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": customer,
            "type": "text",
            "text": {"preview_url": False, "body": text},
            "biz_opaque_callback_data": reply_id,
        },
    )
