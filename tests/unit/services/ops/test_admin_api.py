"""The admin API over doubles of the mailboxes and the shards."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from actors.mailbox.errors import JournalUnavailableError, UnknownQueueError
from actors.mailbox.message import Message
from actors.mailbox.operations import Action, Count, Place
from actors.mailbox.operator_handle import Progress, Target
from actors.mailbox.selection import Peeked, Selection, Tally, Which
from actors.shards.errors import ShardUnavailableError
from actors.shards.unit import UnitCall, UnitOutcome
from config.topology_file import load_topology
from services.ops import store
from services.ops.audit import Audit
from services.ops.routes import OpsApp
from services.ops.service import MailboxOperations
from services.ops.tracing import Tracer
from tests.gateway import OPERATOR_TOKEN as TOKEN
from tests.gateway import OPERATORS, behind

TOPOLOGY = load_topology()
QUEUE = "notifications.whatsapp"
FIGURES = {
    "state": "owning", "paused": False, "consumer_up": True, "waiting": 3, "in_flight": 1, "oldest_age_s": 2.5,
    "in_per_s": 1.0, "out_per_s": 0.5, "dead_letters": 4, "counted": True, "epoch": 7,
    "counters": {"loops_cut": 2},
}  # fmt: skip
DEAD = [Tally("a", "rejected", "auth:190", 3, 0.0), Tally("b", "rejected", "in_doubt", 1, 0.0)]
PEEKED = Peeked(
    9, Message("100:wamid.X", "100:27821234567", "100", b'{"to": "+27821234567"}', {"n": 1}, 1e9), 22, 0, 0, 0.0, 11_574
)


class FakeOperator:
    def __init__(self) -> None:
        self.changes: list[tuple[Target, Action, Selection, int]] = []
        self.pauses: list[tuple[str, bool]] = []
        self.error: Exception | None = None
        self.tallies = [Tally("a", "", "", 3, 0.0)]
        self.dead = DEAD

    def target(self, name: str, which: Which = "waiting") -> Target:
        if name != QUEUE:
            raise UnknownQueueError(name, (QUEUE,))
        return Target(TOPOLOGY.queues[name], which)

    async def statistics(self) -> Mapping[str, Mapping[str, Any]]:
        return {QUEUE: FIGURES, "other": {"state": "unreachable"}}

    async def pause(self, queue: str, *, paused: bool) -> None:
        if self.error is not None:
            raise self.error
        self.pauses.append((queue, paused))

    async def count(self, target: Target, wanted: Selection) -> Count:
        return Count(self.dead if target.which == "dead" else self.tallies, {})

    async def look(
        self, target: Target, wanted: Selection, *, after: Place, limit: int, body_bytes: int
    ) -> list[tuple[int, Peeked]]:
        return [(0, PEEKED)]

    async def change(
        self, target: Target, action: Action, wanted: Selection, *, limit: int, per_s: float | None, timeout_s: float
    ) -> Progress:
        self.changes.append((target, action, wanted, limit))
        return Progress(messages=3, ids=("m1",), complete=True)


class FakeShards:
    def __init__(self) -> None:
        self.away: set[int] = set()
        self.begun: list[store.ActionBegun] = []
        self.ended: list[store.ActionEnded] = []
        self.rows: list[store.TracedRow] = []

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        return [self._run(call) for call in calls]

    def _run(self, call: UnitCall) -> UnitOutcome:
        if call.shard in self.away:
            return UnitOutcome(None, (), ShardUnavailableError(call.shard, "down"))
        value: Any = []
        match call.name:
            case store.BEGIN_ACTION:
                self.begun.append(call.arguments)
            case store.END_ACTION:
                self.ended.append(call.arguments)
            case store.READ_ACTIONS:
                ends = {one.action_id: one for one in self.ended}
                value = [
                    store.ActionRow(*one, ends[one.action_id].ended_at, ends[one.action_id].outcome)
                    for one in self.begun
                ]
            case store.PARTITIONS_SEEN:
                value = [(row.queue, row.partition) for row in self.rows if row.queue == QUEUE]
            case store.TRACE_IDS:
                at = {*zip(call.arguments.queues, call.arguments.partitions, strict=True)}
                value = [
                    row for row in self.rows if row.stored_id in call.arguments.ids and (row.queue, row.partition) in at
                ]
        return UnitOutcome(value, (), None)


class Bench:
    def __init__(self) -> None:
        self.operator, self.shards = FakeOperator(), FakeShards()
        operations = MailboxOperations(self.operator, Audit(self.shards), {QUEUE: ("in_doubt",)})
        api = OpsApp(operations, Tracer(self.shards, TOPOLOGY))
        app = behind("mailboxes", api, OPERATORS, api.operations)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="http://spaza",
            headers={"Authorization": f"Bearer {TOKEN}", "X-Operator": "thandi", "X-Correlation-ID": "r1"},
        )

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.client.get(path, params=query)

    async def post(self, path: str, **fields: Any) -> httpx.Response:
        return await self.client.post(path, json=fields)


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer guess", f"Basic {TOKEN}", f"Bearer {TOKEN}x"])
async def test_nobody_gets_in_without_the_admin_token(authorization: str) -> None:
    bench = Bench()

    answer = await bench.client.post(f"/{QUEUE}/pause", headers={"Authorization": authorization})

    assert answer.status_code == 401
    assert answer.json() == {"message": "The admin token is missing or does not match", "request_id": "r1"}
    assert answer.headers["www-authenticate"] == "Bearer"
    assert bench.operator.pauses == []


async def test_the_list_has_figures_tenants_and_reasons_of_each_queue_that_answers() -> None:
    [first, other] = (await Bench().get("/")).json()["queues"]

    assert (first["queue"], first["waiting"], first["tenants"]) == (QUEUE, 3, {"a": 3})
    assert first["reasons"] == {"rejected/auth:190": 3, "rejected/in_doubt": 1}
    assert other == {"queue": "other", "state": "unreachable"}


async def test_what_is_shown_hides_customers_numbers_unless_that_is_asked_for_which_is_recorded() -> None:
    bench = Bench()

    [hidden] = (await bench.get(f"/{QUEUE}/messages", body=100)).json()["messages"]
    assert bench.shards.begun == []
    [plain] = (await bench.get(f"/{QUEUE}/messages", body=100, unmasked=True)).json()["messages"]

    assert (hidden["key"], hidden["body"]) == ("100:2782*****67", '{"to": "+278******67"}')
    assert (plain["key"], plain["body"]) == ("100:27821234567", '{"to": "+27821234567"}')
    assert [(one.action, one.operator) for one in bench.shards.begun] == [("peek_unmasked", "thandi")]


async def test_a_pause_is_logged_and_recorded_with_who_and_what() -> None:
    bench = Bench()

    with capture_logs() as lines:
        answer = await bench.post(f"/{QUEUE}/pause")

    assert answer.json()["paused"] is True
    assert bench.operator.pauses == [(QUEUE, True)]
    begun = next(line for line in lines if line["event"] == "operator_action_begun")
    assert (begun["operator"], begun["action"], begun["queue"]) == ("thandi", "pause", QUEUE)
    assert {one["correlation_id"] for one in lines if one["event"].startswith("operator_action")} == {"r1"}
    [action] = (await bench.get("/actions")).json()["actions"]
    assert (action["operator"], action["action"], action["outcome"]) == ("thandi", "pause", {"paused": True})


async def test_a_pause_does_not_wait_for_its_record_but_a_redrive_does() -> None:
    bench = Bench()
    bench.shards.away = {0}

    paused = await bench.post(f"/{QUEUE}/pause")
    redriven = await bench.post(f"/{QUEUE}/redrive", all=True)

    assert (paused.status_code, redriven.status_code) == (200, 503)
    assert bench.operator.changes == []


async def test_a_dry_run_says_what_would_happen_and_changes_nothing() -> None:
    bench = Bench()

    plan = (await bench.post(f"/{QUEUE}/redrive", all=True, dry_run=True)).json()

    assert (plan["selected"], plan["held_back"]) == (3, 1)
    assert plan["by_reason"] == {"rejected/auth:190": 3}
    assert (bench.operator.changes, bench.shards.begun) == ([], [])


async def test_what_may_reach_a_customer_twice_is_held_back_unless_forced() -> None:
    bench = Bench()

    await bench.post(f"/{QUEUE}/redrive", all=True)
    forced = (await bench.post(f"/{QUEUE}/redrive", all=True, force=True)).json()

    assert [wanted.not_reasons for _, _, wanted, _ in bench.operator.changes] == [("in_doubt",), ()]
    assert (forced["selected"], forced["held_back"], forced["may_reach_a_customer_twice"]) == (4, 0, 1)


@pytest.mark.parametrize(("asked", "meant", "left"), [({"all": True}, 3, 2), ({"reason": "checksum"}, 5, 0)])
async def test_a_dry_run_of_a_redrive_says_how_much_is_left_because_it_was_damaged(
    asked: dict[str, Any], meant: int, left: int
) -> None:
    bench = Bench()
    bench.operator.dead = [*DEAD, Tally("a", "corrupt", "checksum", 2, 0.0)]

    plan = (await bench.post(f"/{QUEUE}/redrive", dry_run=True, **asked)).json()
    purge = (await bench.post(f"/{QUEUE}/purge", dry_run=True, which="dead", all=True)).json()

    assert (plan["selected"], plan["left_corrupt"]) == (meant, left)
    assert (purge["selected"], purge["left_corrupt"]) == (6, 0)


async def test_a_redrive_meets_nothing_that_died_since_it_began() -> None:
    bench = Bench()

    first = (await bench.post(f"/{QUEUE}/redrive", all=True)).json()
    await bench.post(f"/{QUEUE}/redrive", all=True, began=first["began"])

    marks = [wanted.redriven_before for _, _, wanted, _ in bench.operator.changes]
    assert marks[0] == marks[1]
    assert marks[0] is not None
    assert abs(marks[0] - time.time()) < 5


@pytest.mark.parametrize("verb", ["redrive", "purge"])
async def test_without_a_filter_all_has_to_be_said(verb: str) -> None:
    bench = Bench()

    answer = await bench.post(f"/{QUEUE}/{verb}")

    assert answer.status_code == 400
    assert [one["field"] for one in answer.json()["errors"]] == ["all"]
    assert bench.operator.changes == []


async def test_a_purge_of_a_queue_means_what_waits_unless_its_dead_letters_are_named() -> None:
    bench = Bench()

    for fields in ({}, {"which": "dead"}):
        assert (await bench.post(f"/{QUEUE}/purge", all=True, **fields)).status_code == 200
    refused = await bench.post(f"/{QUEUE}/purge", reason="rejected")

    assert [target.which for target, *_ in bench.operator.changes] == ["waiting", "dead"]
    assert [one["field"] for one in refused.json()["errors"]] == ["reason"]


async def test_programs_are_told_of_a_hundred_tenants_and_how_many_there_are() -> None:
    bench = Bench()
    bench.operator.tallies = [Tally(f"t{number:03}", "", "", 1, 0.0) for number in range(150)]

    [shown, _] = (await bench.get("/")).json()["queues"]

    assert (len(shown["tenants"]), shown["tenants_total"]) == (100, 150)


async def test_what_makes_no_sense_is_refused_by_field() -> None:
    bench = Bench()

    unknown = await bench.post(f"/{QUEUE}/redrive", tennant="a")
    broken = await bench.client.post(f"/{QUEUE}/redrive", content=b"{")
    twice = await bench.get("/trace", message_id="a", wamid="b")
    nowhere = await bench.get("/a/b/c")
    method = await bench.get(f"/{QUEUE}/pause")

    assert [one["field"] for one in unknown.json()["errors"]] == ["tennant"]
    assert [one.status_code for one in (unknown, broken, twice, nowhere, method)] == [400, 400, 400, 404, 405]
    assert all(one.json()["request_id"] == "r1" for one in (unknown, broken, twice, nowhere, method))


async def test_an_unknown_queue_is_answered_with_the_names_of_the_queues() -> None:
    answer = await Bench().post("/nonsense/pause")

    assert answer.status_code == 404
    assert QUEUE in answer.json()["message"]


async def test_a_mailbox_that_cannot_be_reached_is_a_503_and_recorded_as_failed() -> None:
    bench = Bench()
    bench.operator.error = JournalUnavailableError(QUEUE, "its owner cannot be reached")

    answer = await bench.post(f"/{QUEUE}/pause")

    assert answer.status_code == 503
    assert "error" in bench.shards.ended[0].outcome


def row(queue: str, seq: int, stored: str, headers: bytes = b"{}", **fields: Any) -> store.TracedRow:
    given = dict.fromkeys(store.TracedRow._fields) | {
        "queue": queue, "partition": 0, "seq": seq, "stored_id": stored, "tenant": "100", "key": "100:27821234567",
        "published_at": 1e9, "headers": headers, "size_bytes": 5,
    }  # fmt: skip
    return store.TracedRow(**{**given, **fields})


async def test_a_trace_tells_the_whole_way_in_its_order_and_names_the_shards_that_are_missing() -> None:
    bench = Bench()
    bench.shards.away = {7}
    died = b'{"x-last-death-reason":"rejected","x-death-detail":"unknown_phone_number"}'
    again = b'{"x-redriven":1,"x-redriven-at":1000000099}'
    bench.shards.rows = [
        row("whatsapp.inbound", 4, "m1", outcome="rejected", reason="unknown_phone_number", deliveries=1,
            settled_at=1e9 + 1),
        row("dlq.whatsapp.inbound", 5, "m1", died, outcome="redriven", reason="", deliveries=0, settled_at=1e9 + 100),
        row("whatsapp.inbound", 6, "m1\x1f1", again, outcome="acknowledged", reason="", deliveries=1,
            settled_at=1e9 + 101),
    ]  # fmt: skip

    answer = (await bench.get("/trace", message_id="m1")).json()

    [trail] = answer["messages"]
    assert [one["event"] for one in trail["events"]] == [
        "published", "rejected", "redriven", "queued again", "acknowledged",
    ]  # fmt: skip
    assert (trail["state"], trail["key"]) == ("acknowledged", "100:2782*****67")
    assert trail["events"][0]["exchange"] == "whatsapp.messages"
    assert (answer["missing_shards"], answer["complete"]) == ([7], False)


async def test_a_message_is_found_in_a_partition_that_its_queue_has_no_more() -> None:
    bench = Bench()
    bench.shards.rows = [row(QUEUE, 4, "m1", partition=37, outcome="acknowledged", settled_at=1e9 + 1)]

    [trail] = (await bench.get("/trace", message_id="m1")).json()["messages"]

    assert trail["state"] == "acknowledged"


async def test_what_a_publisher_wrote_for_our_own_headers_does_a_trace_no_harm() -> None:
    bench = Bench()
    bench.shards.rows = [row(QUEUE, 4, "m1", b'{"x-redriven":"abc","x-redriven-at":[]}')]

    assert (await bench.get("/trace", message_id="m1")).status_code == 200


async def test_from_where_somebody_calls_is_told_with_who_saw_it_and_ids_are_recorded_as_prints() -> None:
    bench = Bench()

    await bench.client.post(
        f"/{QUEUE}/purge", json={"ids": ["100:wamid.SECRET"]}, headers={"X-Forwarded-For": "10.0.0.99"}
    )

    [begun], [ended] = bench.shards.begun, bench.shards.ended
    assert begun.peer == "10.0.0.99 via 127.0.0.1"
    assert "wamid" not in begun.request + ended.outcome


@pytest.mark.parametrize("query", [{"message_id": "a\0b"}, {"key": "a\0b"}, {"after": f"0:{1 << 63}"}])
async def test_what_no_database_can_look_for_is_refused_by_its_field(query: dict[str, str]) -> None:
    path = "/trace" if "message_id" in query else f"/{QUEUE}/messages"

    answer = await Bench().get(path, **query)

    assert answer.status_code == 400
    assert [one["field"] for one in answer.json()["errors"]] == list(query)


async def test_a_dead_letter_that_waits_for_an_operator_is_said_to() -> None:
    bench = Bench()
    died = b'{"x-last-death-reason":"rejected","x-death-detail":"not_json"}'
    bench.shards.rows = [row("dlq.whatsapp.inbound", 5, "m1", died)]

    [trail] = (await bench.get("/trace", message_id="m1")).json()["messages"]

    assert trail["state"] == "dead letter in dlq.whatsapp.inbound: not_json"
    assert [one["event"] for one in trail["events"]] == ["dead-lettered"]
