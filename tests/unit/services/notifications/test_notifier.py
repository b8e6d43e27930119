"""The notifier over doubles of its ports; its units on a real shard are in ``tests/contract/whatsapp``."""

import asyncio
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from structlog.testing import capture_logs

from actors.mailbox.message import Delivery, Message, Outcome, ack, dead_letter, reject, retry_after
from actors.mailbox.redriven import redriven
from actors.shards.errors import ShardUnavailableError
from actors.shards.unit import UnitCall, UnitOutcome
from cache.marks import Mark, MarksRead
from integrations.whatsapp.errors import (
    AuthError,
    DoubtfulSendError,
    InterceptedError,
    NotSentError,
    PermanentError,
    ThrottledError,
    TransientError,
    UnsendableError,
)
from integrations.whatsapp.schemas import SentMessage
from kernel.errors import SpazaError
from services.notifications.dispatch import Dispatcher, DispatchPolicy
from services.notifications.doubt import Recorded
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
        self.fail: Callable[[str], Exception | None] = lambda _: None
        self.under_way = self.most_under_way = 0
        self.takes_s = 0.0

    async def send(self, phone_number_id: str, access_token: str, payload: Mapping[str, Any]) -> SentMessage:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(self.takes_s)
        self.under_way -= 1
        self.sent.append((phone_number_id, access_token, payload))
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


class Bench:
    def __init__(self, policy: DispatchPolicy | None = None) -> None:
        self.tenants, self.unsealer, self.marks = FakeTenants(), FakeUnsealer(), FakeMarks()
        self.shards, self.graph, self.watch = FakeShards(), FakeGraph(), Watch()
        self.now = NOW
        self.service = NotificationService(
            tenants=self.tenants,
            unsealer=self.unsealer,
            marks=self.marks,
            records=Records(self.shards),
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


async def test_a_message_is_marked_sent_with_our_id_recorded_and_acknowledged() -> None:
    bench = Bench()

    assert await bench.consume(outgoing("m1")) == [ack()]

    number, token, payload = bench.graph.sent[0]
    assert (number, token) == ("100", f"token of sealed-100 for tenant:{A}:whatsapp.access_token")
    assert payload == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+27821110001",
        "type": "text",
        "text": {"body": "m1"},
        "biz_opaque_callback_data": "m1",
    }
    assert bench.shards.rows["m1"] == Recorded(1, "wamid.m1", None)
    assert bench.marks.marks["m1"] == Mark(int(NOW * 1000), None)
    assert [call.name for call in bench.shards.calls] == [RECORD]
    assert bench.watch.counts == {"sent": 1}


async def test_a_customer_without_a_phone_is_written_to_by_id() -> None:
    bench = Bench()

    await bench.consume(outgoing("m1", to=None, recipient="ZA.1"))

    assert bench.graph.sent[0][2]["recipient"] == "ZA.1"
    assert "to" not in bench.graph.sent[0][2]


async def test_wamids_are_recorded_by_one_unit_for_each_tenant() -> None:
    bench = Bench()

    await bench.consume(outgoing("m1"), outgoing("m2", number="200", tenant_id=B), outgoing("m3"))

    assert [(call.tenant_id, call.shard, call.arguments.accepted) for call in bench.shards.calls] == [
        (A, 1, [("m1", "wamid.m1"), ("m3", "wamid.m3")]),
        (B, 2, [("m2", "wamid.m2")]),
    ]


async def test_many_are_sent_at_once_up_to_the_bound_and_those_of_one_key_in_order() -> None:
    bench = Bench(DispatchPolicy(concurrency=4))
    bench.graph.takes_s = 0.001

    await bench.consume(*(outgoing(f"m{n:02}", key="one" if n < 3 else None) for n in range(20)))

    assert bench.graph.most_under_way == 4
    assert [one for one in bench.graph.ids() if one in {"m00", "m01", "m02"}] == ["m00", "m01", "m02"]


async def test_after_a_crash_before_the_record_the_status_is_awaited_and_then_it_is_sent_again_and_counted() -> None:
    bench = Bench()
    message = outgoing("m1")
    bench.marks.since_ms, bench.marks.marks = int(NOW * 1000) - 60_000, {"m1": Mark(int(NOW * 1000), None)}

    assert await bench.consume(message, redelivered=True) == [retry_after(2.0, "in_doubt")]
    bench.now += 29
    assert await bench.consume(message, attempt=2) == [retry_after(1.0, "in_doubt")]
    assert bench.graph.sent == []
    bench.now += 1
    assert await bench.consume(message, attempt=3) == [ack()]

    assert bench.graph.ids() == ["m1"]
    assert bench.watch.counts == {"in_doubt": 2, "resent": 1}


async def test_after_a_crash_a_message_whose_status_has_come_is_not_sent_again() -> None:
    bench = Bench()
    bench.marks.marks = {"m1": Mark(int(NOW * 1000), None)}
    bench.shards.rows["m1"] = Recorded(2, "wamid.A", None)

    assert await bench.consume(outgoing("m1"), redelivered=True) == [ack()]
    assert bench.graph.sent == []


async def test_a_message_that_somebody_else_has_marked_is_in_doubt_and_not_sent() -> None:
    for away in (False, True):
        bench = Bench()
        bench.marks.away = away
        await bench.marks.mark(["m1"], int(NOW * 1000))
        bench.shards.rows["m1"] = Recorded(0, None, NOW)

        first, second = await bench.consume(outgoing("m1"), outgoing("m2"))

        assert (first.kind, second) == ("retry_after", ack())
        assert bench.graph.ids() == ["m2"]


async def test_a_message_goes_out_twice_at_most_and_is_then_a_dead_letter() -> None:
    for away, marks_lost in ((False, False), (False, True), (True, False)):
        bench = Bench()
        bench.marks.away = away
        bench.graph.fail = lambda _: DoubtfulSendError("timeout")
        await bench.consume(outgoing("m1"))
        bench.now += 30
        await bench.consume(outgoing("m1"), attempt=2)
        if marks_lost:
            bench.marks.marks, bench.marks.since_ms = {}, None
        for attempt in range(3, 12):
            bench.now += 60
            assert await bench.consume(outgoing("m1"), attempt=attempt) == [retry_after(15.0, "in_doubt")]
        bench.now += 60 if not marks_lost else 600

        assert await bench.consume(outgoing("m1"), attempt=12) == [dead_letter("in_doubt")]
        assert bench.graph.ids() == ["m1", "m1"]


async def test_a_second_send_that_did_not_take_place_does_not_count_and_leaves_the_first_in_doubt() -> None:
    for away in (False, True):
        bench = Bench()
        bench.marks.away = away
        bench.graph.fail = lambda _: DoubtfulSendError("timeout")
        await bench.consume(outgoing("m1"))
        bench.now += 30
        bench.graph.fail = lambda _: ThrottledError(131056, 400)
        assert (await bench.consume(outgoing("m1"), attempt=2))[0].reason == "throttled"
        bench.now += 4

        assert await bench.consume(outgoing("m1"), attempt=3) == [retry_after(2.0, "in_doubt")]
        bench.now += 26
        bench.graph.fail = lambda _: None
        assert await bench.consume(outgoing("m1"), attempt=4) == [ack()]
        assert len(bench.graph.sent) == 3


async def test_of_two_who_send_again_one_does() -> None:
    bench = Bench()
    bench.marks.since_ms, bench.marks.marks = 0, {"m1": Mark(int(NOW * 1000) - 60_000, None)}

    outcomes = await asyncio.gather(*(bench.consume(outgoing("m1"), redelivered=True) for _ in range(2)))

    assert sorted(outcome.kind for (outcome,) in outcomes) == ["ack", "retry_after"]
    assert bench.graph.ids() == ["m1"]


async def test_a_message_that_was_never_marked_is_sent_when_it_comes_again() -> None:
    bench = Bench()
    bench.marks.since_ms = int(NOW * 1000) - 60_000

    assert await bench.consume(outgoing("m1"), redelivered=True) == [ack()]
    assert bench.watch.counts == {"sent": 1}


async def test_if_the_marks_were_lost_all_that_was_waiting_is_in_doubt() -> None:
    bench = Bench()
    await bench.service.start()

    assert await bench.consume(outgoing("m1"), redelivered=True) == [retry_after(2.0, "in_doubt")]
    bench.now += 30
    assert await bench.consume(outgoing("m1"), redelivered=True) == [ack()]
    assert bench.watch.counts["resent"] == 1


async def test_without_redis_the_mark_is_written_on_the_shard_before_the_call() -> None:
    bench = Bench()
    bench.marks.away = True
    bench.graph.fail = lambda _: DoubtfulSendError("timeout")

    assert await bench.consume(outgoing("m1")) == [retry_after(2.0, "in_doubt")]

    assert bench.shards.rows["m1"].marked_at == NOW
    bench.graph.fail = lambda _: None
    assert await bench.consume(outgoing("m1"), attempt=2) == [retry_after(2.0, "in_doubt")]
    bench.now += 30
    assert await bench.consume(outgoing("m1"), attempt=3) == [ack()]


async def test_without_redis_what_comes_again_is_in_doubt_from_then_on() -> None:
    bench = Bench()
    bench.marks.away = True

    assert await bench.consume(outgoing("m1"), redelivered=True) == [retry_after(2.0, "in_doubt")]
    bench.now += 30
    assert await bench.consume(outgoing("m1"), redelivered=True) == [ack()]
    assert bench.watch.counts["resent"] == 1


async def test_without_redis_and_shard_nothing_is_sent() -> None:
    bench = Bench()
    bench.marks.away = True
    bench.shards.away = {A}

    outcomes = await bench.consume(outgoing("m1"), outgoing("m2", number="200", tenant_id=B))

    assert outcomes == [retry_after(1.0, "not_marked"), ack()]
    assert bench.graph.ids() == ["m2"]


async def test_a_shard_that_is_away_leaves_a_doubtful_message_waiting() -> None:
    bench = Bench()
    bench.shards.away = {A}

    assert await bench.consume(outgoing("m1"), redelivered=True) == [retry_after(1.0, "shard_unavailable")]
    assert bench.graph.sent == []


async def test_a_wamid_that_the_shard_could_not_be_told_of_is_recorded_later_without_a_second_send() -> None:
    bench = Bench()
    bench.shards.away = {RECORD}

    assert await bench.consume(outgoing("m1")) == [retry_after(1.0, "not_recorded")]
    bench.shards.away = set()
    assert await bench.consume(outgoing("m1"), attempt=2) == [ack()]

    assert bench.graph.ids() == ["m1"]
    assert bench.shards.rows["m1"] == Recorded(1, "wamid.m1", None)


async def test_a_refused_message_is_recorded_as_failed_and_its_neighbours_go_out() -> None:
    bench = Bench()
    bench.graph.fail = lambda one: PermanentError(131026, 400) if one == "m1" else None

    assert await bench.consume(outgoing("m1"), outgoing("m2")) == [ack(), ack()]
    assert bench.shards.failed == {"m1": ("", 131026)}
    assert bench.watch.counts == {"sent": 1, "failed": 1}


async def test_a_failure_that_nobody_foresaw_harms_one_message_alone_and_leaves_it_in_doubt() -> None:
    bench = Bench()
    bench.graph.fail = lambda one: UnicodeError("new") if one == "m1" else None

    outcomes = await bench.consume(outgoing("m1"), outgoing("m2"), outgoing("m3", number="200", tenant_id=B))

    assert outcomes == [retry_after(2.0, "in_doubt"), ack(), ack()]
    assert "m1" in bench.marks.marks


async def test_what_no_request_can_be_made_of_is_a_dead_letter() -> None:
    bench = Bench()
    bench.graph.fail = lambda one: UnsendableError("token") if one == "m1" else None

    assert await bench.consume(outgoing("m1"), outgoing("m2")) == [dead_letter("unsendable"), ack()]


async def test_what_was_provably_not_sent_loses_its_mark_and_is_sent_when_it_comes_again() -> None:
    for error in (NotSentError("refused"), ThrottledError(131056, 400)):
        bench = Bench()
        bench.marks.since_ms = 0
        bench.graph.fail = lambda _, error=error: error  # type: ignore[misc]
        first = await bench.consume(outgoing("m1"))
        bench.graph.fail = lambda _: None
        bench.now += 1

        assert first[0].kind == "retry_after"
        assert await bench.consume(outgoing("m1"), attempt=2) == [ack()]
        assert bench.watch.counts["sent"] == 1


async def test_a_number_that_is_throttled_or_locked_out_is_not_tried_further_in_that_batch() -> None:
    for error, kind in ((ThrottledError(130429, 400), "retry_after"), (AuthError(190, 401), "reject")):
        bench = Bench(DispatchPolicy(concurrency=1))
        bench.graph.fail = lambda one, error=error: None if one == "other" else error  # type: ignore[misc]

        outcomes = await bench.consume(
            outgoing("m1"), outgoing("m2"), outgoing("m3"), outgoing("other", number="200", tenant_id=B)
        )

        assert [outcome.kind for outcome in outcomes] == [kind, kind, kind, "ack"]
        assert bench.graph.ids() == ["m1", "other"]


async def test_the_second_message_of_a_conversation_does_not_overtake_the_first() -> None:
    bench = Bench()
    bench.graph.fail = lambda one: DoubtfulSendError("timeout") if one == "m1" else None

    outcomes = await bench.consume(outgoing("m1", key="k"), outgoing("m2", key="k"), outgoing("m3"))

    assert [outcome.kind for outcome in outcomes] == ["retry_after", "retry_after", "ack"]
    assert sorted(bench.graph.ids()) == ["m1", "m3"]
    assert "m2" not in bench.marks.marks


async def test_a_send_that_takes_too_long_is_in_doubt() -> None:
    bench = Bench(DispatchPolicy(send_s=0.01))
    bench.graph.takes_s = 5

    assert await bench.consume(outgoing("m1")) == [retry_after(2.0, "in_doubt")]
    assert "m1" in bench.marks.marks


async def test_no_send_is_begun_once_the_batchs_time_is_over() -> None:
    bench = Bench(DispatchPolicy(concurrency=1))
    bench.graph.fail = lambda _: bench.passes(8.0)

    assert await bench.consume(outgoing("m1"), outgoing("m2")) == [ack(), retry_after(0.0, "no_time_left")]
    assert bench.graph.ids() == ["m1"]
    assert [*bench.marks.marks] == ["m1"]


async def test_the_batchs_time_begins_with_it_and_not_with_its_sends() -> None:
    for slow in ("tenants", "shards"):
        bench = Bench()
        bench.marks.since_ms = 0
        getattr(bench, slow).before = lambda bench=bench: bench.passes(8.0)

        assert await bench.consume(outgoing("m1"), redelivered=True) == [retry_after(0.0, "no_time_left")]
        assert bench.graph.sent == []
        assert bench.marks.marks == {}


async def test_what_a_message_waited_for_before_costs_it_none_of_its_tries_when_meta_fails() -> None:
    bench = Bench()
    bench.marks.since_ms = 0
    bench.graph.fail = lambda _: TransientError(131016, 500)

    assert await bench.consume(outgoing("m1"), attempt=200) == [reject("transient:131016", 1.0)]
    assert bench.shards.failed == {}
    assert await bench.consume(outgoing("m1"), attempt=230, retries=30) == [dead_letter("transient:131016")]
    assert bench.shards.failed == {"m1": ("transient", 131016)}


async def test_a_number_that_is_too_fast_is_left_alone_by_the_next_batches_too_and_its_neighbours_go_out() -> None:
    bench = Bench()
    bench.marks.since_ms = 0
    bench.graph.fail = lambda one: ThrottledError(130429, 400) if one != "other" else None
    other = outgoing("other", number="200", tenant_id=B)

    assert await bench.consume(outgoing("m1"), attempt=40) == [retry_after(1.0, "throttled")]
    bench.now += 0.5
    assert await bench.consume(outgoing("m2"), other) == [retry_after(0.5, "paused"), ack()]
    bench.now += 0.5
    assert await bench.consume(outgoing("m1"), attempt=41) == [retry_after(2.0, "throttled")]

    assert bench.graph.ids() == ["m1", "other", "m1"]


async def test_a_pair_that_is_too_fast_does_not_hold_up_its_numbers_other_recipients() -> None:
    bench = Bench()
    bench.graph.fail = lambda one: ThrottledError(131056, 400) if one == "m1" else None

    await bench.consume(outgoing("m1"))

    assert await bench.consume(outgoing("m2"), outgoing("m3", to="+27829999999")) == [retry_after(1.0, "paused"), ack()]


async def test_while_the_graph_api_cannot_be_reached_it_is_tried_now_and_then_and_at_once_when_it_is_back() -> None:
    bench = Bench(DispatchPolicy(concurrency=1))
    bench.marks.since_ms = 0
    bench.graph.fail = lambda _: NotSentError("refused")

    first = await bench.consume(outgoing("m1"), outgoing("m2"), outgoing("m3", number="200", tenant_id=B))
    bench.now += 0.5
    second = await bench.consume(outgoing("m2"), attempt=9)
    bench.now += 1.0
    bench.graph.fail = lambda _: None

    assert first == [retry_after(0.5, "not_sent"), retry_after(0.5, "paused"), retry_after(0.5, "paused")]
    assert second == [retry_after(1.0, "not_sent")]
    assert await bench.consume(outgoing("m1"), outgoing("m3", number="200", tenant_id=B)) == [ack(), ack()]
    assert bench.graph.ids() == ["m1", "m2", "m1", "m3"]


async def test_what_cannot_be_sent_becomes_a_dead_letter_that_says_why() -> None:
    bench = Bench()

    outcomes = await bench.consume(
        outgoing("m1")._replace(body=b"{"),
        outgoing("m2", v=9),
        outgoing("m3", to=""),
        outgoing("m4", payload={}),
        outgoing("m5", number="999"),
        outgoing("m6", number="200"),
        outgoing("m7", phone_number_id=7),
    )

    assert outcomes == [
        dead_letter("malformed:not_json"),
        dead_letter("malformed:unknown_version"),
        dead_letter("malformed:no_recipient"),
        dead_letter("malformed:no_payload"),
        dead_letter("unknown_phone_number"),
        dead_letter("unknown_phone_number"),
        dead_letter("malformed:no_phone_number_id"),
    ]
    assert bench.graph.sent == []


async def test_a_token_that_cannot_be_unsealed_is_a_dead_letter() -> None:
    bench = Bench()
    bench.unsealer.broken = True

    assert await bench.consume(outgoing("m1")) == [dead_letter("unseal_failed")]
    assert bench.shards.failed == {"m1": ("unseal_failed", None)}


async def test_every_dead_letter_of_a_known_sender_is_recorded_and_can_be_sent_later() -> None:
    for error, recorded in (
        (AuthError(190, 401), ("auth", 190)),
        (TransientError(131000, 500), ("transient", 131000)),
        (InterceptedError(403), ("intercepted", None)),
        (UnsendableError("token"), ("unsendable", None)),
        (DoubtfulSendError("timeout"), ("in_doubt", None)),
    ):
        for away in (False, True):
            bench = Bench()
            bench.marks.away = away
            bench.graph.fail = lambda _, error=error: error  # type: ignore[misc]
            outcome = ack()
            for tries in range(60):
                bench.now += 60
                (outcome,) = await bench.consume(outgoing("m1"), attempt=tries + 1, retries=tries)
                if outcome.final:
                    break

            assert bench.shards.failed == {"m1": recorded}
            bench.graph.fail = lambda _: None
            assert await bench.consume(outgoing("m1")) == [ack()]
            assert bench.shards.rows["m1"] == Recorded(1, "wamid.m1", None)


async def test_a_dead_letter_that_could_not_be_recorded_comes_again() -> None:
    bench = Bench()
    bench.shards.away = {RECORD}
    bench.graph.fail = lambda _: AuthError(190, 401)

    assert await bench.consume(outgoing("m1")) == [retry_after(1.0, "not_recorded")]


async def test_a_directory_that_is_away_delays_only_those_it_cannot_find() -> None:
    bench = Bench()
    bench.tenants.missing = frozenset({"200"})

    outcomes = await bench.consume(outgoing("m1"), outgoing("m2", number="200", tenant_id=B))

    assert outcomes == [ack(), retry_after(1.0, "directory_unavailable")]


async def test_whoever_watches_cannot_make_a_batch_fail() -> None:
    bench = Bench()
    bench.watch.broken = True

    assert await bench.consume(outgoing("m1")) == [ack()]


async def test_nothing_is_sent_for_a_suspended_tenant_and_that_is_recorded_so_that_it_can_be_sent_later() -> None:
    bench = Bench()

    outcomes = await bench.consume(outgoing("m1", number="300"), outgoing("m2"))

    assert outcomes == [dead_letter("tenant_suspended"), ack()]
    assert bench.shards.failed == {"m1": ("tenant_suspended", None)}
    assert bench.graph.ids() == ["m2"]
    assert bench.watch.counts == {"tenant_not_served": 1, "sent": 1}


async def test_an_empty_batch_is_nothing() -> None:
    assert await Bench().consume() == []


async def test_a_warning_says_under_which_ids_its_messages_are_followed() -> None:
    bench = Bench()
    bench.shards.away = {RECORD}
    bench.graph.fail = lambda one: ValueError("new") if one == "m0" else None
    followed = [outgoing(f"m{n}")._replace(headers={"correlation_id": f"c{n}"}) for n in range(5)]

    with capture_logs() as lines:
        await bench.consume(*followed)

    assert {line["event"]: line["correlation_ids"] for line in lines} == {
        "send_failed_unexpectedly": ["c0"],
        "notifier_unit_failed": ["c1", "c2", "c3"],
    }


async def test_a_dead_letter_that_is_put_back_is_sent() -> None:
    bench = Bench()
    await bench.service.start()
    message = outgoing("m1")._replace(published_at=NOW + 1)
    bench.graph.fail = lambda _: AuthError(190, 401)
    assert [one.kind for one in await bench.consume(message)] == ["reject"]
    bench.graph.fail = lambda _: None

    assert await bench.consume(redriven(message, NOW + 60)) == [ack()]

    assert bench.graph.ids() == ["m1", "m1"]
    assert bench.shards.rows["m1"].wamid == "wamid.m1"


async def test_a_dead_letter_that_went_out_after_all_is_not_sent_again_when_it_is_put_back() -> None:
    bench = Bench()
    bench.shards.rows["m1"] = Recorded(2, "wamid.m1", None)  # a late status told so

    assert await bench.consume(redriven(outgoing("m1"), NOW)) == [ack()]

    assert bench.graph.ids() == []
