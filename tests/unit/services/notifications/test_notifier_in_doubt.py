"""What may have been sent is not sent again before its time, nor more than once."""

import asyncio

import pytest

from actors.mailbox.message import ack, dead_letter, retry_after
from cache.marks import Mark
from integrations.whatsapp.errors import (
    DoubtfulSendError,
    NotSentError,
    ThrottledError,
)
from services.notifications.dispatch import DispatchPolicy
from services.notifications.doubt import Recorded
from services.notifications.store import RECORD
from tests.unit.services.notifications.bench import NOW, A, B, Bench, outgoing


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


async def test_a_failure_that_nobody_foresaw_harms_one_message_alone_and_leaves_it_in_doubt() -> None:
    bench = Bench()
    bench.graph.fail = lambda one: UnicodeError("new") if one == "m1" else None

    outcomes = await bench.consume(outgoing("m1"), outgoing("m2"), outgoing("m3", number="200", tenant_id=B))

    assert outcomes == [retry_after(2.0, "in_doubt"), ack(), ack()]
    assert "m1" in bench.marks.marks


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


async def test_the_second_message_of_a_conversation_does_not_overtake_the_first() -> None:
    bench = Bench()
    bench.graph.fail = lambda one: DoubtfulSendError("timeout") if one == "m1" else None

    outcomes = await bench.consume(outgoing("m1", key="k"), outgoing("m2", key="k"), outgoing("m3"))

    assert [outcome.kind for outcome in outcomes] == ["retry_after", "retry_after", "ack"]
    assert sorted(bench.graph.ids()) == ["m1", "m3"]
    assert "m2" not in bench.marks.marks


@pytest.mark.parametrize("redis_away", [False, True])
async def test_what_was_marked_and_waits_for_one_that_could_not_be_is_in_no_doubt(redis_away: bool) -> None:
    bench = Bench()
    bench.marks.since_ms = 0
    bench.marks.away = redis_away
    if redis_away:
        bench.shards.rows["m1"] = Recorded(0, None, bench.now)
    else:
        bench.marks.marks["m1"] = Mark(int(bench.now * 1000), None)

    outcomes = await bench.consume(outgoing("m1", key="k"), outgoing("m2", key="k"))

    assert [outcome.kind for outcome in outcomes] == ["retry_after", "retry_after"]
    assert bench.graph.ids() == []
    assert "m2" not in bench.marks.marks
    assert bench.shards.rows["m2"].marked_at is None


async def test_a_send_that_takes_too_long_is_in_doubt() -> None:
    bench = Bench(DispatchPolicy(send_s=0.01))
    bench.graph.takes_s = 5

    assert await bench.consume(outgoing("m1")) == [retry_after(2.0, "in_doubt")]
    assert "m1" in bench.marks.marks


async def test_time_in_which_no_status_could_come_in_is_no_waiting() -> None:
    bench = Bench()
    await bench.consume(outgoing("m1"))
    bench.graph.sent.clear()
    bench.shards.rows["m1"] = Recorded(0, None, None)

    # The webhook is away for longer than a status is awaited, and then one comes that somebody kept.
    bench.inflow.open_since = None
    for _ in range(30):
        bench.now += 2
        assert await bench.consume(outgoing("m1"), attempt=2) == [retry_after(2.0, "in_doubt")]
    bench.inflow.open_since = bench.now
    bench.now += 29
    assert await bench.consume(outgoing("m1"), attempt=3) == [retry_after(1.0, "in_doubt")]
    assert bench.graph.sent == []
    bench.now += 1
    assert await bench.consume(outgoing("m1"), attempt=4) == [ack()]

    assert bench.graph.ids() == ["m1"]
    assert bench.watch.counts["resent"] == 1


async def test_nor_is_time_in_which_the_shard_could_not_be_told_of_a_status() -> None:
    bench = Bench()
    await bench.consume(outgoing("m1"))
    bench.graph.sent.clear()
    bench.shards.rows["m1"] = Recorded(0, None, None)
    bench.shards.away = {A}
    bench.now += 45
    assert [outcome.reason for outcome in await bench.consume(outgoing("m1"), attempt=2)] == ["shard_unavailable"]

    bench.shards.away = set()
    bench.now += 1
    assert await bench.consume(outgoing("m1"), attempt=3) == [retry_after(2.0, "in_doubt")]
    bench.now += 29
    assert await bench.consume(outgoing("m1"), attempt=4) == [ack()]
