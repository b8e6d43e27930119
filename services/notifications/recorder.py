"""Writing what became of sends, in company: a tenant's messages of several batches are one unit of work."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from actors.shards.errors import CommitUnknownError
from actors.shards.unit import UnitCall, UnitOutcome
from kernel.errors import SpazaError
from services.notifications.store import RecordArguments, record_call
from telemetry.log import get_logger

_log = get_logger("notifier")


class RecorderPolicy(NamedTuple):
    """Patience.

    Attributes:
        linger_s: how long what is to be recorded waits for more of the same tenant.
        most: messages that wait at most; then all go at once.
    """

    linger_s: float = 1.0
    most: int = 512


class _Waiting(NamedTuple):
    shard: int
    arguments: RecordArguments
    error: "asyncio.Future[SpazaError | None]"


_POLICY = RecorderPolicy()


class Recorder:
    """Collects for a moment what is to be recorded, then runs one unit for each tenant.

    Nobody waits for a record: the message is with Meta. A transaction for each message of a tenant that sends four a
    second would be most of what a send costs. The price: what was sent within the moment before a crash is in doubt,
    and its status is awaited. For one event loop.

    Args:
        run: runs units, and returns an outcome for each.
        policy: patience.
    """

    def __init__(
        self, run: Callable[[Sequence[UnitCall]], Awaitable[Sequence[UnitOutcome]]], policy: RecorderPolicy = _POLICY
    ) -> None:
        self._run, self._policy = run, policy
        self._waiting: dict[str, list[_Waiting]] = {}
        self._messages = 0
        self._timer: asyncio.TimerHandle | None = None
        self._flights: set[asyncio.Task[None]] = set()

    async def record(self, shards: Mapping[str, int], wanted: Mapping[str, RecordArguments]) -> dict[str, SpazaError]:
        """Return when it is written.

        Args:
            shards: by tenant.
            wanted: what became of messages, by tenant.

        Returns:
            By tenant, why it is not known to be written; empty if all is.
        """
        loop = asyncio.get_running_loop()
        errors: dict[str, asyncio.Future[SpazaError | None]] = {}
        for tenant_id, arguments in wanted.items():
            errors[tenant_id] = loop.create_future()
            waiting = _Waiting(shards[tenant_id], arguments, errors[tenant_id])
            self._waiting.setdefault(tenant_id, []).append(waiting)
            self._messages += arguments.messages
        if self._messages >= self._policy.most:
            self._go()
        elif errors and self._timer is None:
            self._timer = loop.call_later(self._policy.linger_s, self._go)
        return {tenant_id: error for tenant_id, one in errors.items() if (error := await one) is not None}

    def _go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        waiting, self._waiting, self._messages, self._timer = self._waiting, {}, 0, None
        flight = asyncio.get_running_loop().create_task(self._fly(waiting))
        self._flights.add(flight)
        flight.add_done_callback(self._flights.discard)

    async def _fly(self, waiting: Mapping[str, Sequence[_Waiting]]) -> None:
        # A tenant that has moved meanwhile is where the last of them saw it.
        calls = [
            record_call(many[-1].shard, tenant_id, RecordArguments.together([one.arguments for one in many]))
            for tenant_id, many in waiting.items()
        ]
        try:
            errors = [outcome.error for outcome in await self._run(calls)]
            by_tenant = dict(zip(waiting, errors, strict=True))
        except Exception as error:  # noqa: BLE001 - what was sent is remembered otherwise then
            _log.exception("records_not_written", tenants=len(calls))
            reason = type(error).__name__
            by_tenant = {call.tenant_id: CommitUnknownError(call.shard, reason) for call in calls}
        for tenant_id, many in waiting.items():
            for one in many:
                if not one.error.done():
                    one.error.set_result(by_tenant[tenant_id])
