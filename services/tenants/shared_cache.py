"""Found tenants in Redis, for all processes: ``tenant:phone:{phone_number_id}``.

A cache and nothing more: while Redis is away nothing is found and nothing is kept, and it is left alone for a moment,
so that look-ups do not wait for it one by one.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.tenants.tenant import Tenant
from telemetry.log import get_logger

# Raised when the fields of Tenant change: entries of another form are not read.
_FORM = 1
_log = get_logger("directory")


class SharedCachePolicy(NamedTuple):
    """How long Redis keeps what was found, and how long Redis is waited for.

    Attributes:
        present_s: a tenant, give or take ``jitter``, so that what was found together does not lapse together.
        absent_s: that a number is nobody's.
        patience_s: for one exchange with Redis.
        pause_s: after a failure Redis is left alone for so long.
    """

    present_s: float = 3600.0
    absent_s: float = 30.0
    jitter: float = 0.1
    patience_s: float = 0.2
    pause_s: float = 1.0


class RedisTenantCache:
    """Implements ``services.tenants.directory.SharedCache``. Raises nothing of Redis'. For one event loop."""

    def __init__(
        self,
        redis: Redis,
        *,
        policy: SharedCachePolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis, self._clock = redis, clock
        self._policy = SharedCachePolicy() if policy is None else policy
        self._paused_until = 0.0

    async def get(self, phone_number_ids: Sequence[str]) -> dict[str, Tenant | None]:
        """What is known of these numbers; None for one that is known to be nobody's."""
        if self._clock() < self._paused_until:
            return {}
        try:
            async with asyncio.timeout(self._policy.patience_s):
                texts = await self._redis.mget([_key(number) for number in phone_number_ids])
        except (RedisError, OSError) as error:
            self._pause(error)
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
        if not tenants or self._clock() < self._paused_until:
            return
        try:
            async with asyncio.timeout(self._policy.patience_s), self._redis.pipeline(transaction=False) as pipeline:
                for number, tenant in tenants.items():
                    pipeline.set(_key(number), orjson.dumps([_FORM, tenant and tuple(tenant)]), px=self._px(tenant))
                await pipeline.execute()
        except (RedisError, OSError) as error:
            self._pause(error)

    async def forget(self, phone_number_ids: Collection[str]) -> None:
        """Drop these. Tried even while Redis is left alone; if it fails they lapse by themselves."""
        if not phone_number_ids:
            return
        try:
            async with asyncio.timeout(self._policy.patience_s):
                await self._redis.delete(*(_key(number) for number in phone_number_ids))
        except (RedisError, OSError) as error:
            self._pause(error)

    def _px(self, tenant: Tenant | None) -> int:
        kept_s = self._policy.absent_s if tenant is None else self._policy.present_s
        spread = random.uniform(1 - self._policy.jitter, 1 + self._policy.jitter)  # noqa: S311 - protects nothing
        return max(1, int(kept_s * spread * 1000))

    def _pause(self, error: Exception) -> None:
        self._paused_until = self._clock() + self._policy.pause_s
        _log.warning("directory_cache_away", error=type(error).__name__)


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
