"""The notifier over doubles of its ports, for its tests; its units on a real shard: ``tests/contract/whatsapp``."""

import asyncio
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from actors.mailbox.message import Delivery, Message, Outcome
from actors.shards.errors import ShardUnavailableError
from actors.shards.unit import UnitCall, UnitOutcome
from cache.marks import Mark, MarksRead
from integrations.whatsapp.schemas import SentMessage
from kernel.errors import SpazaError
from services.notifications.dispatch import Dispatcher, DispatchPolicy
from services.notifications.doubt import Recorded
from services.notifications.recorder import RecorderPolicy
from services.notifications.records import Records
from services.notifications.service import NotificationService
from services.notifications.store import LOOK_UP, MARK, RECORD
from services.tenants.errors import DirectoryUnavailableError, UnsealError
from services.tenants.tenant import Tenant

A, B = "a" * 32, "b" * 32
NOW = 1_750_000_000.0


def tenant(number: str, tenant_id: str, shard: int) -> Tenant:
    return Tenant(tenant_id, "Shop", shard, 1, "active", number, "+27", f"sealed-{number}", 0.0, 0.0)


DIRECTORY: dict[str, Tenant | None] = {
    "100": tenant("100", A, 1), "200": tenant("200", B, 2),
    "300": tenant("300", A, 1)._replace(state="suspended"),
}  # fmt: skip


def nothing() -> None:
    """Happens before an answer, unless a test says otherwise."""


class FakeTenants:
    missing: frozenset[str] = frozenset()
    before: Callable[[], None] = staticmethod(nothing)

    async def by_phones(self, phone_number_ids: Collection[str]) -> Mapping[str, Tenant | None]:
        self.before()
        found = {number: DIRECTORY.get(number) for number in phone_number_ids if number not in self.missing}
        if self.missing & set(phone_number_ids):
            raise DirectoryUnavailableError(self.missing, found)
        return found


class FakeUnsealer:
    broken = False

    def unseal(self, sealed: str, context: str) -> str:
        if self.broken:
            raise UnsealError("changed")
        return f"token of {sealed} for {context}"


class FakeMarks:
    """Redis' part in memory; ``away`` as Redis may be."""

    def __init__(self) -> None:
        self.away = False
        self.since_ms: int | None = None
        self.marks: dict[str, Mark] = {}

    async def mark(
        self, ids: Sequence[str], now_ms: int, replaces: Mapping[str, int] = MappingProxyType({})
    ) -> frozenset[str] | None:
        if self.away:
            return None
        self.since_ms = now_ms if self.since_ms is None else self.since_ms
        free = [one for one in ids if one not in self.marks or self.marks[one].at_ms == replaces.get(one, -1)]
        self.marks.update((one, Mark(now_ms, None)) for one in free)
        return frozenset(free)

    async def read(self, ids: Sequence[str], now_ms: int) -> MarksRead | None:
        if self.away:
            return None
        self.since_ms = now_ms if self.since_ms is None else self.since_ms
        return MarksRead(self.since_ms, {one: self.marks[one] for one in ids if one in self.marks})

    async def clear(self, ids: Sequence[str]) -> None:
        if not self.away:
            for one in ids:
                self.marks.pop(one, None)

    async def remember_sent(self, wamids: Mapping[str, str]) -> bool:
        if not self.away:
            self.marks.update((one, Mark(None, wamid)) for one, wamid in wamids.items())
        return not self.away


class FakeShards:
    """The outgoing_message rows in memory, for the notifier's three units."""

    def __init__(self) -> None:
        self.rows: dict[str, Recorded] = {f"m{n}": Recorded(0, None, None) for n in range(10)}
        self.failed: dict[str, tuple[str, int | None]] = {}
        self.away: set[str] = set()
        self.calls: list[UnitCall] = []

    before: Callable[[], None] = staticmethod(nothing)

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        self.before()
        self.calls += calls
        return [self._run(call) for call in calls]

    def _run(self, call: UnitCall) -> UnitOutcome:
        if call.tenant_id in self.away or call.name in self.away:
            error: SpazaError = ShardUnavailableError(call.shard, "down")
            return UnitOutcome(None, (), error)
        value: Any = None
        if call.name == LOOK_UP:
            value = {one: self.rows[one] for one in call.arguments if one in self.rows}
        elif call.name == MARK:
            value = []
            for one in call.arguments.ids:
                row, resend = self.rows[one], call.arguments.resend
                if row.rank == 0 and not row.resent and (resend or row.marked_at is None):
                    self.rows[one] = row._replace(marked_at=call.arguments.now, resent=resend)
                    value.append(one)
        elif call.name == RECORD:
            self.rows.update((one, Recorded(1, wamid, None)) for one, wamid in call.arguments.accepted)
            for one, reason, code in call.arguments.failed:
                self.failed[one] = (reason, code)
                self.rows[one] = Recorded(0 if reason else 3, None, None)
            for one in call.arguments.unmark:
                row = self.rows[one]
                self.rows[one] = row._replace(marked_at=row.marked_at if row.resent else None, resent=False)
        return UnitOutcome(value, (), None)


class FakeGraph:
    def __init__(self) -> None:
        self.sent: list[tuple[str, str, Mapping[str, Any]]] = []
        self.followed: list[str] = []
        self.fail: Callable[[str], Exception | None] = lambda _: None
        self.under_way = self.most_under_way = 0
        self.takes_s = 0.0

    async def send(
        self, phone_number_id: str, access_token: str, payload: Mapping[str, Any], *, correlation_id: str = ""
    ) -> SentMessage:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(self.takes_s)
        self.under_way -= 1
        self.sent.append((phone_number_id, access_token, payload))
        self.followed.append(correlation_id)
        error = self.fail(payload["biz_opaque_callback_data"])
        if error is not None:
            raise error
        return SentMessage(f"wamid.{payload['biz_opaque_callback_data']}")

    def ids(self) -> list[str]:
        return [payload["biz_opaque_callback_data"] for _, _, payload in self.sent]


class Watch:
    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.broken = False

    def batch_done(self, outcomes: Mapping[str, int], seconds: float) -> None:
        if self.broken:
            raise ValueError("no such label")
        for word, count in outcomes.items():
            self.counts[word] = self.counts.get(word, 0) + count


class FakeInflow:
    """The way of the statuses; ``open_since`` is None while it is broken."""

    def __init__(self) -> None:
        self.open_since: float | None = 0.0

    async def since(self) -> float | None:
        return self.open_since


class Bench:
    def __init__(self, policy: DispatchPolicy | None = None) -> None:
        self.tenants, self.unsealer, self.marks = FakeTenants(), FakeUnsealer(), FakeMarks()
        self.shards, self.graph, self.watch = FakeShards(), FakeGraph(), Watch()
        self.inflow, self.now = FakeInflow(), NOW
        self.service = NotificationService(
            tenants=self.tenants,
            unsealer=self.unsealer,
            marks=self.marks,
            records=Records(self.shards, policy=RecorderPolicy(linger_s=0.0)),
            inflow=self.inflow,
            dispatcher=Dispatcher(self.graph, lambda: 0.5, policy=policy or DispatchPolicy(), clock=lambda: self.now),
            observer=self.watch,
            clock=lambda: self.now,
            timer=lambda: self.now,
        )

    def passes(self, seconds: float) -> None:
        self.now += seconds

    async def consume(
        self, *messages: Message, attempt: int = 1, retries: int = 0, redelivered: bool = False
    ) -> list[Outcome]:
        batch = [
            Delivery(message, "notifications.whatsapp", 1, seq, seq, attempt, redelivered or attempt > 1, retries)
            for seq, message in enumerate(messages)
        ]
        return await self.service.consume(batch)


def outgoing(name: str, *, number: str = "100", tenant_id: str = A, key: str | None = None, **more: Any) -> Message:
    body = {
        "v": 1, "phone_number_id": number, "to": "+27821110001",
        "payload": {"type": "text", "text": {"body": name}}, **more,
    }  # fmt: skip
    return Message(name, key or name, tenant_id, json.dumps(body).encode(), {}, NOW - 1, 5)
