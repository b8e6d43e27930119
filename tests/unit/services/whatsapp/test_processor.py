"""The processor over doubles of its ports; what the units do on a real shard is in ``tests/contract/whatsapp``."""

import asyncio
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from structlog.testing import capture_logs

from actors.mailbox.message import Delivery, Message, Outcome, PublishedRow, ack, dead_letter, reject, retry_after
from actors.mailbox.redriven import redriven
from actors.shards.errors import CommitUnknownError, OverloadedError, ShardUnavailableError, UnitFailedError
from actors.shards.unit import UnitCall, UnitOutcome
from cache.claims import Claim
from kernel.errors import SpazaError
from services.tenants.errors import DirectoryUnavailableError
from services.tenants.tenant import Tenant
from services.whatsapp.envelope import split
from services.whatsapp.processor import InboundProcessor, ProcessorPolicy
from services.whatsapp.store import PLATFORM_EVENTS, RECEIVE, STATUSES, ReceiveResult


def tenant(number: str, tenant_id: str, shard: int = 1) -> Tenant:
    return Tenant(tenant_id, f"Shop {tenant_id[:1]}", shard, 1, "active", number, "+27", "sealed", 0.0, 0.0)


A, B = "a" * 32, "b" * 32
DIRECTORY: dict[str, Tenant | None] = {
    "100": tenant("100", A), "101": tenant("101", A), "200": tenant("200", B, 2),
    "300": tenant("300", "c" * 32)._replace(state="suspended"),
}  # fmt: skip
ROW = PublishedRow("notifications.whatsapp", 1, 7, Message("o1", "k", A, b"", {}, 0.0))


class FakeShards:
    """Succeeds, unless ``fail`` says what a call fails with."""

    def __init__(self, fail: Callable[[UnitCall], SpazaError | None] = lambda _: None) -> None:
        self.fail = fail
        self.calls: list[UnitCall] = []
        self.rounds = self.unmatched = 0
        # A shard of the call that lets the others wait.
        self.last: asyncio.Event | None = None

    async def run(
        self,
        calls: Sequence[UnitCall],
        *,
        timeout_s: float,
        answered: Callable[[Sequence[UnitOutcome]], None] | None = None,
    ) -> list[UnitOutcome]:
        self.rounds += 1
        self.calls += calls
        outcomes = []
        for call in calls:
            error = self.fail(call)
            done = ReceiveResult(1, 0, 1) if call.name == RECEIVE else self.unmatched
            outcomes.append(UnitOutcome(None if error else done, () if error else (ROW,), error))
            if answered is not None:
                answered(outcomes[-1:])
        if self.last is not None:
            await self.last.wait()
        return outcomes


class FakeTenants:
    def __init__(self, missing: frozenset[str] = frozenset()) -> None:
        self.missing = missing
        self.asked: list[set[str]] = []

    async def by_phones(self, phone_number_ids: Collection[str]) -> Mapping[str, Tenant | None]:
        self.asked.append(set(phone_number_ids))
        found = {number: DIRECTORY.get(number) for number in phone_number_ids if number not in self.missing}
        if self.missing & set(phone_number_ids):
            raise DirectoryUnavailableError(self.missing, found)
        return found


class FakeClaims:
    def __init__(self, held: Mapping[str, Claim] | None = None) -> None:
        self.held = held or {}
        self.done: list[str] = []
        self.released: list[str] = []

    async def claim(self, ids: Sequence[str], token: str) -> list[Claim]:
        return [self.held.get(one, Claim.OURS) for one in ids]

    async def finish(self, ids: Sequence[str]) -> None:
        self.done += ids

    async def release(self, ids: Sequence[str], token: str) -> None:
        self.released += ids


class FakeTeller:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.told: list[PublishedRow] = []
        self.heard = asyncio.Event()

    async def tell(self, rows: Sequence[PublishedRow]) -> None:
        if self.error is not None:
            raise self.error
        self.told += rows
        self.heard.set()


class Watch:
    broken = False

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str], int] = {}

    def batch_done(
        self, outcomes: Mapping[tuple[str, str], int], *, replies: int, unmatched: int, seconds: float
    ) -> None:
        if self.broken:
            raise ValueError("no such label")
        self.outcomes = dict(outcomes)
        self.replies, self.unmatched = replies, unmatched


class Bench:
    def __init__(
        self,
        *,
        shards: FakeShards | None = None,
        tenants: FakeTenants | None = None,
        claims: FakeClaims | None = None,
        mailbox: FakeTeller | None = None,
        policy: ProcessorPolicy | None = None,
    ) -> None:
        self.shards, self.tenants = shards or FakeShards(), tenants or FakeTenants()
        self.claims, self.mailbox, self.watch = claims or FakeClaims(), mailbox or FakeTeller(), Watch()
        self.now = 1_750_000_000.0
        self.processor = InboundProcessor(
            claims=self.claims,
            tenants=self.tenants,
            shards=self.shards,
            mailbox=self.mailbox,
            observer=self.watch,
            policy=policy or ProcessorPolicy(),
            clock=lambda: self.now,
        )

    async def consume(self, *messages: Message, attempt: int = 1) -> list[Outcome]:
        batch = [
            Delivery(message, "whatsapp.inbound", 0, seq, seq, attempt, attempt > 1)
            for seq, message in enumerate(messages)
        ]
        return await self.processor.consume(batch)


def parts(*, number: str | None = "100", field: str = "messages", **lists: Any) -> list[Message]:
    value = {"metadata": {"phone_number_id": number}, **lists} if number else lists
    entry = {"id": "waba", "changes": [{"field": field, "value": value}]}
    raw = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
    return [part.message for part in split(raw, correlation_id="c", received_at=1_750_000_000.0)]


def text(wamid: str, *, number: str = "100", sender: str = "27821110001") -> Message:
    item = {"id": wamid, "from": sender, "timestamp": "1750000000", "type": "text", "text": {"body": wamid}}
    return parts(number=number, messages=[item])[0]


def status(wamid: str, state: str = "sent") -> Message:
    return parts(statuses=[{"id": wamid, "status": state, "timestamp": "1750000000", "recipient_id": "27"}])[0]


def names(call: UnitCall) -> list[str]:
    """The wamids; the ids of a mailbox begin with the receiving number."""
    return [one.id.removeprefix(f"{one.phone_number_id}:") for one in call.arguments.received]


async def test_a_batch_becomes_one_unit_for_each_tenant_and_kind_in_one_go() -> None:
    bench = Bench()

    outcomes = await bench.consume(
        text("w1"), text("w2", number="200"), text("w3", number="101"), status("o1"), *parts(number=None, event="X")
    )

    assert outcomes == [ack()] * 5
    assert bench.shards.rounds == 1
    assert [(call.name, call.shard, call.tenant_id) for call in bench.shards.calls] == [
        (RECEIVE, 1, A),
        (RECEIVE, 2, B),
        (STATUSES, 1, A),
        (PLATFORM_EVENTS, bench.shards.calls[3].shard, ""),
    ]
    assert names(bench.shards.calls[0]) == ["w1", "w3"]
    assert bench.tenants.asked == [{"100", "101", "200"}]


async def test_what_was_published_is_told_and_what_is_done_is_remembered() -> None:
    bench = Bench()
    message = text("w1")

    await bench.consume(message)

    assert bench.mailbox.told == [ROW]
    assert bench.claims.done == [message.id]
    assert bench.watch.outcomes == {("message", "done"): 1}
    assert bench.watch.replies == 1


async def test_what_has_committed_is_told_while_another_shard_is_waited_for() -> None:
    bench = Bench(policy=ProcessorPolicy(tell_s=0.0))
    bench.shards.last = asyncio.Event()

    consumed = asyncio.create_task(bench.consume(text("w1"), text("w2", number="200")))
    async with asyncio.timeout(60.0):
        await bench.mailbox.heard.wait()
    assert not consumed.done()
    bench.shards.last.set()

    assert await consumed == [ack(), ack()]
    assert bench.mailbox.told == [ROW, ROW]


async def test_a_mailbox_that_cannot_be_told_harms_nothing() -> None:
    for error in (SpazaError("away"), RuntimeError("the loop is closing")):
        assert await Bench(mailbox=FakeTeller(error)).consume(text("w1")) == [ack()]


async def test_what_an_operator_put_back_is_worked_on_though_redis_calls_it_done() -> None:
    again = redriven(text("w1"), 1_750_000_100.0)
    bench = Bench(claims=FakeClaims({again.id: Claim.DONE}))

    assert await bench.consume(again) == [ack()]

    # Only the row on the shard may prove that it is a duplicate.
    assert [names(call) for call in bench.shards.calls] == [["w1"]]


async def test_what_is_done_already_is_acknowledged_without_work() -> None:
    message = text("w1")
    bench = Bench(claims=FakeClaims({message.id: Claim.DONE}))

    assert await bench.consume(message) == [ack()]
    assert bench.shards.calls == []
    assert bench.watch.outcomes == {("message", "duplicate"): 1}


async def test_what_somebody_else_claims_comes_again_and_so_does_what_follows_of_that_customer() -> None:
    first, second, other = text("w1"), text("w2"), text("w3", sender="27829999999")
    bench = Bench(claims=FakeClaims({first.id: Claim.ELSEWHERE}))

    outcomes = await bench.consume(first, second, other)

    assert [outcome.kind for outcome in outcomes] == ["retry_after", "retry_after", "ack"]
    assert bench.claims.released == [second.id]
    assert names(bench.shards.calls[0]) == ["w3"]


async def test_without_redis_it_works_all_the_same() -> None:
    message = text("w1")

    assert await Bench(claims=FakeClaims({message.id: Claim.UNGUARDED})).consume(message) == [ack()]


async def test_an_unknown_number_is_kept_as_a_dead_letter_and_the_others_go_on() -> None:
    bench = Bench()

    outcomes = await bench.consume(text("w1", number="999"), text("w2"))

    assert outcomes == [dead_letter("unknown_phone_number"), ack()]
    assert bench.watch.outcomes == {("message", "unknown_phone_number"): 1, ("message", "done"): 1}


async def test_what_customers_write_to_a_suspended_tenant_is_kept_as_a_dead_letter_and_the_others_are_served() -> None:
    bench = Bench()

    outcomes = await bench.consume(text("w1", number="300"), text("w2"))

    assert outcomes == [dead_letter("tenant_suspended"), ack()]
    assert [call.tenant_id for call in bench.shards.calls] == [A]
    assert bench.watch.outcomes == {("message", "tenant_not_served"): 1, ("message", "done"): 1}
    assert bench.claims.released == [text("w1", number="300").id]


async def test_statuses_and_events_of_a_suspended_tenant_are_kept() -> None:
    bench = Bench()
    told = parts(
        number="300", statuses=[{"id": "o1", "status": "read", "timestamp": "1750000000", "recipient_id": "27"}]
    )

    assert await bench.consume(*told, *parts(number="300", field="calls", calls=[{"id": "x"}])) == [ack(), ack()]
    assert [call.name for call in bench.shards.calls] == [STATUSES, RECEIVE]


async def test_statuses_that_meet_no_message_of_ours_are_counted() -> None:
    bench = Bench()
    bench.shards.unmatched = 2

    await bench.consume(status("o1"), status("o2"), status("o3"))

    assert (bench.watch.unmatched, bench.watch.outcomes) == (2, {("status", "done"): 3})


async def test_whoever_watches_cannot_make_a_batch_fail() -> None:
    bench = Bench()
    bench.watch.broken = True

    assert await bench.consume(text("w1")) == [ack()]
    assert bench.claims.done == [text("w1").id]


async def test_an_event_of_an_unknown_number_is_kept_with_the_platforms() -> None:
    bench = Bench()

    assert await bench.consume(*parts(number="999", field="account_update", event="X")) == [ack()]
    assert bench.shards.calls[0].name == PLATFORM_EVENTS


async def test_an_event_of_a_tenants_number_is_kept_with_the_tenant() -> None:
    bench = Bench()

    assert await bench.consume(*parts(field="calls", calls=[{"id": "x"}])) == [ack()]
    assert (bench.shards.calls[0].name, bench.shards.calls[0].tenant_id) == (RECEIVE, A)


async def test_a_malformed_message_is_kept_as_a_dead_letter_and_the_others_go_on() -> None:
    bench = Bench()
    (bad,) = parts(messages=[{"id": "w0", "type": "text"}])

    outcomes = await bench.consume(bad, text("w1"), text("w2")._replace(body=b"\xff"))

    assert outcomes == [dead_letter("malformed:no_text"), ack(), dead_letter("malformed:not_json")]


async def test_a_directory_that_is_away_delays_only_those_it_cannot_find() -> None:
    bench = Bench(tenants=FakeTenants(frozenset({"200"})))

    outcomes = await bench.consume(text("w1"), text("w2", number="200"))

    assert outcomes == [ack(), retry_after(1.0, "directory_unavailable")]


async def test_a_shard_that_is_away_delays_its_tenants_alone_and_gives_the_claims_back() -> None:
    bench = Bench(shards=FakeShards(lambda call: ShardUnavailableError(2, "down") if call.shard == 2 else None))
    mine, other = text("w1"), text("w2", number="200")

    outcomes = await bench.consume(mine, other)

    assert outcomes == [ack(), retry_after(1.0, "shard_unavailable")]
    assert (bench.claims.done, bench.claims.released) == ([mine.id], [other.id])


async def test_an_overloaded_shard_says_itself_when_to_come_again() -> None:
    bench = Bench(shards=FakeShards(lambda _: OverloadedError(1, 0.25)))

    assert await bench.consume(text("w1")) == [retry_after(0.25, "shard_overloaded")]


async def test_a_commit_that_is_not_known_is_tried_again() -> None:
    bench = Bench(shards=FakeShards(lambda _: CommitUnknownError(1, "lost")))

    assert await bench.consume(text("w1")) == [retry_after(1.0, "commit_unknown")]


async def test_a_warning_says_under_which_ids_its_messages_are_followed() -> None:
    bench = Bench(shards=FakeShards(lambda call: ShardUnavailableError(1, "down")))
    followed = [text(f"w{n}")._replace(headers={"correlation_id": f"c{n}"}) for n in range(5)]

    with capture_logs() as lines:
        await bench.consume(*followed)

    assert [(line["event"], line["correlation_ids"], line["count"]) for line in lines] == [
        ("inbound_unit_failed", ["c0", "c1", "c2"], 5)
    ]


async def test_a_poisonous_message_is_found_and_its_neighbours_go_on() -> None:
    def poison(call: UnitCall) -> SpazaError | None:
        return UnitFailedError(call.name, "22P05", "DataError") if "w2" in names(call) else None

    bench = Bench(shards=FakeShards(poison))

    outcomes = await bench.consume(text("w1"), text("w2"), text("w3"), text("w4", number="200"))

    assert outcomes == [ack(), dead_letter("unit_failed:22P05"), ack(), ack()]
    assert [names(call) for call in bench.shards.calls] == [["w1", "w2", "w3"], ["w4"], ["w1"], ["w2"], ["w3"]]
    assert bench.watch.outcomes["message", "poison"] == 1


async def test_a_fault_of_the_tables_is_nobodys_among_the_messages() -> None:
    bench = Bench(shards=FakeShards(lambda call: UnitFailedError(call.name, "42P01", "UndefinedTableError")))

    outcomes = await bench.consume(text("w1"), text("w2"))

    assert [outcome.kind for outcome in outcomes] == ["retry_after", "retry_after"]
    assert len(bench.shards.calls) == 1


async def test_a_collision_with_another_batch_costs_a_try_of_the_queues_whatever_else_the_message_waited_for() -> None:
    bench = Bench(shards=FakeShards(lambda call: UnitFailedError(call.name, "23505", "UniqueViolationError")))

    assert await bench.consume(text("w1"), attempt=1) == [reject("unit_failed:23505")]
    assert await bench.consume(text("w1"), attempt=99) == [reject("unit_failed:23505")]
    assert bench.watch.outcomes == {("message", "collision"): 1}
    assert bench.claims.done == []


async def test_a_customers_later_messages_wait_while_an_earlier_one_comes_again() -> None:
    def unavailable_for_w1(call: UnitCall) -> SpazaError | None:
        if names(call) == ["w1"]:
            return ShardUnavailableError(1, "down")
        return UnitFailedError(call.name, "", "KeyError") if "w1" in names(call) else None

    bench = Bench(shards=FakeShards(unavailable_for_w1))

    outcomes = await bench.consume(text("w1"), text("w2"), text("w3", sender="27829999999"))

    assert [outcome.kind for outcome in outcomes] == ["retry_after", "retry_after", "ack"]


async def test_the_search_for_a_culprit_ends_with_the_batchs_time() -> None:
    bench = Bench(policy=ProcessorPolicy(batch_s=15.0))

    def slow(call: UnitCall) -> SpazaError | None:
        bench.now += 10.0
        return UnitFailedError(call.name, "", "KeyError")

    bench.shards.fail = slow

    outcomes = await bench.consume(text("w1"), text("w2", sender="1"), text("w3", sender="2"))

    assert [outcome.kind for outcome in outcomes] == ["reject", "retry_after", "retry_after"]


async def test_an_empty_batch_is_nothing() -> None:
    assert await Bench().consume() == []
