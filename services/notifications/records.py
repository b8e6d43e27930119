"""The shards, as the notifier uses them: one unit for each tenant of a batch, all in one go."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from actors.shards.unit import UnitCall, UnitOutcome, UnitRunner
from kernel.errors import SpazaError
from services.notifications.doubt import Recorded
from services.notifications.recorder import Recorder, RecorderPolicy
from services.notifications.store import LOOK_UP, MARK, RECORD, MarkArguments, RecordArguments
from services.outgoing.message import Outgoing
from telemetry.log import correlation_ids, get_logger

_log = get_logger("notifier")


class Records:
    """Reads and writes what is recorded of outgoing messages. One tenant's trouble is not another's."""

    def __init__(self, shards: UnitRunner, *, unit_s: float = 4.0, policy: RecorderPolicy | None = None) -> None:
        """Touch nothing yet.

        Args:
            shards: run the units.
            unit_s: for the units of one step; well within the lease of a delivery.
            policy: how long what became of sends waits for company.
        """
        self._shards, self._unit_s = shards, unit_s
        self._recorder = Recorder(partial(shards.run, timeout_s=unit_s), RecorderPolicy() if policy is None else policy)

    async def look_up(
        self, messages: Sequence[Outgoing], shards: Mapping[str, int]
    ) -> dict[str, Mapping[str, Recorded]]:
        """What is recorded, by tenant and message; tenants whose shard is away are missing."""

        def call(shard: int, tenant_id: str, group: Sequence[Outgoing]) -> UnitCall:
            return UnitCall(LOOK_UP, shard, tenant_id, [one.id for one in group])

        outcomes = await self._run(messages, shards, call)
        return {tenant_id: outcome.value for tenant_id, outcome in outcomes.items() if outcome.error is None}

    async def mark(
        self, messages: Sequence[Outgoing], shards: Mapping[str, int], now: float, *, resend: bool
    ) -> frozenset[str]:
        """Mark on the shards; returns the messages that are marked now, by nobody else."""

        def call(shard: int, tenant_id: str, group: Sequence[Outgoing]) -> UnitCall:
            return UnitCall(MARK, shard, tenant_id, MarkArguments([one.id for one in group], now, resend))

        outcomes = await self._run(messages, shards, call)
        return frozenset(one for outcome in outcomes.values() if outcome.error is None for one in outcome.value)

    async def record(
        self,
        messages: Sequence[Outgoing],
        shards: Mapping[str, int],
        now: float,
        *,
        accepted: Mapping[int, str],
        failed: Mapping[int, tuple[str, int | None]],
        unmark: frozenset[int],
    ) -> frozenset[str]:
        """Record what became of messages.

        Args:
            messages: those that stand in one of the other arguments.
            shards: by tenant.
            now: Unix seconds.
            accepted: wamids by place.
            failed: reasons and Meta's error codes by place.
            unmark: places of messages whose marks on the shard go.

        Returns:
            The tenants for which it failed, or is not known to have succeeded.
        """
        groups = _by_tenant(messages)
        wanted = {
            tenant_id: RecordArguments(
                accepted=[(one.id, accepted[one.place]) for one in group if one.place in accepted],
                failed=[(one.id, *failed[one.place]) for one in group if one.place in failed],
                unmark=[one.id for one in group if one.place in unmark],
                now=now,
            )
            for tenant_id, group in groups.items()
        }
        errors = await self._recorder.record(shards, wanted)
        for tenant_id, error in errors.items():
            _warn(tenant_id, RECORD, error, groups[tenant_id])
        return frozenset(errors)

    async def _run(
        self,
        messages: Sequence[Outgoing],
        shards: Mapping[str, int],
        call: Callable[[int, str, Sequence[Outgoing]], UnitCall],
    ) -> dict[str, UnitOutcome]:
        groups = _by_tenant(messages)
        if not groups:
            return {}
        calls = [call(shards[tenant_id], tenant_id, group) for tenant_id, group in groups.items()]
        outcomes = dict(zip(groups, await self._shards.run(calls, timeout_s=self._unit_s), strict=True))
        for tenant_id, outcome in outcomes.items():
            if outcome.error is not None:
                _warn(tenant_id, calls[0].name, outcome.error, groups[tenant_id])
        return outcomes


def _by_tenant(messages: Sequence[Outgoing]) -> dict[str, list[Outgoing]]:
    groups: dict[str, list[Outgoing]] = {}
    for one in messages:
        groups.setdefault(one.tenant_id, []).append(one)
    return groups


def _warn(tenant_id: str, unit: str, error: SpazaError, group: Sequence[Outgoing]) -> None:
    _log.warning(
        "notifier_unit_failed",
        tenant_id=tenant_id,
        unit=unit,
        error=str(error),
        correlation_ids=correlation_ids(one.delivery.message.headers for one in group),
        count=len(group),
    )
