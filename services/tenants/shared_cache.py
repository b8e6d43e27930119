"""Found tenants in Redis, for all processes: ``tenant:phone:{phone_number_id}``.

A cache and nothing more: while Redis is away nothing is found and nothing is kept.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import orjson

from cache.connection import RedisConnection
from cache.errors import RedisAwayError
from services.tenants.tenant import Tenant

# Raised when the fields of Tenant change: entries of another form are not read.
_FORM = 1


class SharedCachePolicy(NamedTuple):
    """How long Redis keeps what was found.

    Attributes:
        present_s: a tenant, give or take ``jitter``, so that what was found together does not lapse together.
        absent_s: that a number is nobody's.
    """

    present_s: float = 3600.0
    absent_s: float = 30.0
    jitter: float = 0.1


class RedisTenantCache:
    """Implements ``services.tenants.directory.SharedCache``. Raises nothing of Redis'. For one event loop."""

    def __init__(self, connection: RedisConnection, *, policy: SharedCachePolicy | None = None) -> None:
        self._connection = connection
        self._policy = SharedCachePolicy() if policy is None else policy

    async def get(self, phone_number_ids: Sequence[str]) -> dict[str, Tenant | None]:
        """What is known of these numbers; None for one that is known to be nobody's."""
        keys = [_key(number) for number in phone_number_ids]
        try:
            texts = await self._connection.ask(lambda: self._connection.client.mget(keys))
        except RedisAwayError:
            return {}
        found: dict[str, Tenant | None] = {}
        for number, text in zip(phone_number_ids, texts, strict=True):
            if text is not None:
                known, tenant = _decode(text)
                if known:
                    found[number] = tenant
        return found

    async def put(self, tenants: Mapping[str, Tenant | None]) -> None:
        """Keep these."""

        async def write() -> None:
            async with self._connection.client.pipeline(transaction=False) as pipeline:
                for number, tenant in tenants.items():
                    pipeline.set(_key(number), orjson.dumps([_FORM, tenant and tuple(tenant)]), px=self._px(tenant))
                await pipeline.execute()

        if tenants:
            with suppress(RedisAwayError):
                await self._connection.ask(write)

    async def forget(self, phone_number_ids: Collection[str]) -> None:
        """Drop these. Tried even while Redis is left alone; if it fails they lapse by themselves."""
        if phone_number_ids:
            keys = [_key(number) for number in phone_number_ids]
            with suppress(RedisAwayError):
                await self._connection.ask(lambda: self._connection.client.delete(*keys), insist=True)

    def _px(self, tenant: Tenant | None) -> int:
        kept_s = self._policy.absent_s if tenant is None else self._policy.present_s
        spread = random.uniform(1 - self._policy.jitter, 1 + self._policy.jitter)  # noqa: S311 - protects nothing
        return max(1, int(kept_s * spread * 1000))


def _key(phone_number_id: str) -> str:
    return f"tenant:phone:{phone_number_id}"


def _decode(text: bytes | str) -> tuple[bool, Tenant | None]:
    try:
        form, fields = orjson.loads(text)
        if form != _FORM:
            return False, None
        return True, None if fields is None else Tenant(*fields)
    except (ValueError, TypeError):
        # Written by another version or by hand: as good as nothing.
        return False, None
