"""What follows when Meta, or something before it, does not take a message, and what is given up."""

from actors.mailbox.message import ack, dead_letter, reject, retry_after
from actors.mailbox.redriven import redriven
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
from services.notifications.dispatch import DispatchPolicy
from services.notifications.doubt import Recorded
from services.notifications.store import RECORD
from tests.unit.services.notifications.bench import NOW, B, Bench, outgoing


async def test_a_refused_message_is_recorded_as_failed_and_its_neighbours_go_out() -> None:
    bench = Bench()
    bench.graph.fail = lambda one: PermanentError(131026, 400) if one == "m1" else None

    assert await bench.consume(outgoing("m1"), outgoing("m2")) == [ack(), ack()]
    assert bench.shards.failed == {"m1": ("", 131026)}
    assert bench.watch.counts == {"sent": 1, "failed": 1}


async def test_what_no_request_can_be_made_of_is_a_dead_letter() -> None:
    bench = Bench()
    bench.graph.fail = lambda one: UnsendableError("token") if one == "m1" else None

    assert await bench.consume(outgoing("m1"), outgoing("m2")) == [dead_letter("unsendable"), ack()]


async def test_a_number_that_is_throttled_or_locked_out_is_not_tried_further_in_that_batch() -> None:
    for error, kind in ((ThrottledError(130429, 400), "retry_after"), (AuthError(190, 401), "reject")):
        bench = Bench(DispatchPolicy(concurrency=1))
        bench.graph.fail = lambda one, error=error: None if one == "other" else error  # type: ignore[misc]

        outcomes = await bench.consume(
            outgoing("m1"), outgoing("m2"), outgoing("m3"), outgoing("other", number="200", tenant_id=B)
        )

        assert [outcome.kind for outcome in outcomes] == [kind, kind, kind, "ack"]
        assert bench.graph.ids() == ["m1", "other"]


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


async def test_nothing_is_sent_for_a_suspended_tenant_and_that_is_recorded_so_that_it_can_be_sent_later() -> None:
    bench = Bench()

    outcomes = await bench.consume(outgoing("m1", number="300"), outgoing("m2"))

    assert outcomes == [dead_letter("tenant_suspended"), ack()]
    assert bench.shards.failed == {"m1": ("tenant_suspended", None)}
    assert bench.graph.ids() == ["m2"]
    assert bench.watch.counts == {"tenant_not_served": 1, "sent": 1}


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
