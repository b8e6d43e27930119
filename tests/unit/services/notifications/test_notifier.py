"""How a message goes out, and what becomes of a batch."""

from structlog.testing import capture_logs

from actors.mailbox.message import ack, retry_after
from cache.marks import Mark
from services.notifications.dispatch import DispatchPolicy
from services.notifications.doubt import Recorded
from services.notifications.store import RECORD
from tests.unit.services.notifications.bench import NOW, A, B, Bench, outgoing


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


async def test_a_call_carries_the_id_under_which_its_message_is_followed() -> None:
    bench = Bench()

    await bench.consume(outgoing("m1")._replace(headers={"correlation_id": "abc-123"}), outgoing("m2"))

    assert sorted(bench.graph.followed) == ["", "abc-123"]


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


async def test_a_directory_that_is_away_delays_only_those_it_cannot_find() -> None:
    bench = Bench()
    bench.tenants.missing = frozenset({"200"})

    outcomes = await bench.consume(outgoing("m1"), outgoing("m2", number="200", tenant_id=B))

    assert outcomes == [ack(), retry_after(1.0, "directory_unavailable")]


async def test_whoever_watches_cannot_make_a_batch_fail() -> None:
    bench = Bench()
    bench.watch.broken = True

    assert await bench.consume(outgoing("m1")) == [ack()]


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
