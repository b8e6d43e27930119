import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.notifications.doubt import Recorded
from services.notifications.store import LOOK_UP, MARK, RECORD, MarkArguments, RecordArguments
from services.outgoing.delivery_state import rank_of_status
from services.whatsapp.conversation import Merchant
from services.whatsapp.inbound import Customer, InboundMessage, StatusUpdate
from services.whatsapp.store import RECEIVE, STATUSES, ReceiveArguments, StatusesArguments
from tests.contract.whatsapp.conftest import Shop

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOW = AT.timestamp() + 1


def status(wamid: str, state: str, *, ours: str | None = None, after_s: int = 0, **more: Any) -> StatusUpdate:
    at = AT + timedelta(seconds=after_s)
    return StatusUpdate(wamid, "100", "", state, rank_of_status(state), at, ours, None, b"{}")._replace(**more)


async def queued(shop: Shop, count: int = 1) -> list[str]:
    """Messages that wait to be sent; their ids."""
    messages = [
        InboundMessage(f"in{n}", "100", AT, "text", Customer(None, str(n)), None, "Hi", b"", "c") for n in range(count)
    ]
    outcome = await shop.outcome(RECEIVE, ReceiveArguments(Merchant("Shop"), messages, NOW))
    return [row.message.id for row in outcome.published]


async def keep(shop: Shop, *statuses: StatusUpdate) -> int:
    unmatched: int = await shop.run(STATUSES, StatusesArguments(statuses, NOW))
    return unmatched


async def accept(shop: Shop, one: str, wamid: str) -> None:
    await shop.run(RECORD, RecordArguments([(one, wamid)], [], [], NOW))


async def state(shop: Shop, one: str) -> dict[str, Any]:
    (row,) = await shop.rows("SELECT * FROM {schema}.outgoing_message WHERE id = $1", one)
    return row


async def test_a_status_that_carries_our_id_moves_the_message_and_tells_its_wamid(shop: Shop) -> None:
    (one,) = await queued(shop)

    assert await keep(shop, status("w", "sent", ours=one, after_s=3)) == 0

    row = await state(shop, one)
    assert (row["state"], row["wamid"], row["state_at"]) == ("sent", "w", AT + timedelta(seconds=3))


@pytest.mark.parametrize("order", list(itertools.permutations(["accepted", "sent", "delivered", "read"])))
async def test_in_any_order_the_state_ends_at_the_highest(shop: Shop, order: tuple[str, ...]) -> None:
    (one,) = await queued(shop)

    for step in order:
        if step == "accepted":
            await accept(shop, one, "w")
        else:
            await keep(shop, status("w", step))

    row = await state(shop, one)
    assert (row["state"], row["rank"], row["wamid"]) == ("read", 5, "w")
    kept = await shop.rows("SELECT state FROM {schema}.message_status")
    assert sorted(one["state"] for one in kept) == ["delivered", "read", "sent"]


@pytest.mark.parametrize(
    ("before", "then", "expected"),
    [
        ("sent", "failed", "failed"),
        ("failed", "sent", "failed"),
        ("delivered", "failed", "delivered"),
        ("failed", "delivered", "delivered"),
        ("read", "delivered", "read"),
        ("played", "read", "played"),
        ("delivered", "delivered", "delivered"),
        ("delivered", "deleted", "delivered"),
    ],
)
async def test_a_state_only_moves_up_and_a_failure_counts_only_before_delivery(
    shop: Shop, before: str, then: str, expected: str
) -> None:
    (one,) = await queued(shop)
    await accept(shop, one, "w")

    await keep(shop, status("w", before, ours=one))
    await keep(shop, status("w", then, ours=one, error_code=131026 if then == "failed" else None))

    assert (await state(shop, one))["state"] == expected


async def test_statuses_of_one_batch_are_applied_together_and_twice_changes_nothing(shop: Shop) -> None:
    first, second = await queued(shop, 2)
    batch = [
        status("w1", "read", ours=first),
        status("w1", "sent", ours=first),
        status("w1", "sent", ours=first, after_s=9),
        status("w2", "failed", ours=second, error_code=131047),
        status("w3", "sent"),
    ]

    assert [await keep(shop, *batch), await keep(shop, *batch)] == [1, 1]

    assert (await state(shop, first))["state"] == "read"
    assert {name: (await state(shop, second))[name] for name in ("state", "error_code")} == {
        "state": "failed",
        "error_code": 131047,
    }
    kept = await shop.rows("SELECT state, at FROM {schema}.message_status WHERE wamid = 'w1' ORDER BY state")
    assert [(row["state"], row["at"]) for row in kept] == [("read", AT), ("sent", AT + timedelta(seconds=9))]


async def test_our_own_id_wins_over_the_wamid(shop: Shop) -> None:
    first, second = await queued(shop, 2)
    await accept(shop, first, "w1")

    await keep(shop, status("w1", "delivered", ours=second))

    assert (await state(shop, first))["state"] == "accepted"
    assert (await state(shop, second))["state"] == "delivered"


async def test_an_id_that_is_not_ours_falls_back_to_the_wamid(shop: Shop) -> None:
    (one,) = await queued(shop)
    await accept(shop, one, "w")

    assert await keep(shop, status("w", "delivered", ours="f" * 32)) == 0
    assert (await state(shop, one))["state"] == "delivered"


async def test_each_person_of_a_group_has_a_status_of_his_own(shop: Shop) -> None:
    await keep(shop, status("w", "read", participant="1"), status("w", "read", participant="2"))

    assert len(await shop.rows("SELECT 1 FROM {schema}.message_status")) == 2


async def test_a_status_and_its_wamid_that_come_at_the_same_moment_find_each_other(shop: Shop) -> None:
    ids = await queued(shop, 40)

    async def tell(n: int, one: str) -> None:
        await asyncio.gather(keep(shop, status(f"w{n}", "delivered")), accept(shop, one, f"w{n}"))

    await asyncio.gather(*(tell(n, one) for n, one in enumerate(ids)))

    states = await shop.rows("SELECT state FROM {schema}.outgoing_message")
    assert {row["state"] for row in states} == {"delivered"}


async def test_the_notifier_reads_what_it_and_the_statuses_wrote(shop: Shop) -> None:
    first, second, third = await queued(shop, 3)
    await shop.run(MARK, MarkArguments([first, second], NOW, resend=False))
    # Those that are marked belong to who marked them.
    assert await shop.run(MARK, MarkArguments([first, second, third], NOW + 5, resend=False)) == [third]
    await shop.run(RECORD, RecordArguments([(first, "w1")], [], [second], NOW))

    known = await shop.run(LOOK_UP, [first, second, third, "0" * 32])

    assert known == {
        first: Recorded(1, "w1", NOW),
        second: Recorded(0, None, None),
        third: Recorded(0, None, NOW + 5),
    }


async def test_a_second_send_is_counted_once_and_not_at_all_if_it_did_not_take_place(shop: Shop) -> None:
    one, other = await queued(shop, 2)
    await shop.run(MARK, MarkArguments([one], NOW, resend=False))

    assert set(await shop.run(MARK, MarkArguments([one, other], NOW + 5, resend=True))) == {one, other}
    assert await shop.run(MARK, MarkArguments([one, other], NOW + 9, resend=True)) == []
    await shop.run(RECORD, RecordArguments(accepted=[], failed=[], unmark=[other], now=NOW))

    assert await shop.run(LOOK_UP, [one, other]) == {
        one: Recorded(0, None, NOW + 5, resent=True),
        other: Recorded(0, None, NOW + 5, resent=False),
    }
    await accept(shop, one, "w1")
    assert (await state(shop, one))["state"] == "accepted"


async def test_a_refusal_is_recorded_with_metas_code_unless_the_message_is_known_to_have_arrived(shop: Shop) -> None:
    first, second = await queued(shop, 2)
    await keep(shop, status("w2", "delivered", ours=second))

    await shop.run(RECORD, RecordArguments([], [(first, "", 131026), (second, "", 131026)], [], NOW))

    assert {name: (await state(shop, first))[name] for name in ("state", "error_code")} == {
        "state": "failed",
        "error_code": 131026,
    }
    assert (await state(shop, second))["state"] == "delivered"


async def test_a_dead_letter_says_why_and_can_be_sent_later(shop: Shop) -> None:
    first, second, third = await queued(shop, 3)
    await shop.run(MARK, MarkArguments([first, second], NOW, resend=True))
    dead = [(first, "in_doubt", None), (second, "auth", 190), (third, "auth", 190)]

    await shop.run(RECORD, RecordArguments([], dead, [], NOW))

    assert [(await state(shop, one))["state"] for one in (first, second)] == ["failed:in_doubt", "failed:auth"]
    assert (await shop.run(LOOK_UP, [first, second])) == dict.fromkeys((first, second), Recorded(0, None, None))
    await keep(shop, status("w1", "delivered", ours=first))
    await accept(shop, second, "w2")
    await keep(shop, status("w3", "failed", ours=third, error_code=131026))
    after = [await state(shop, one) for one in (first, second, third)]
    assert [(one["state"], one["error_code"]) for one in after] == [
        ("delivered", None), ("accepted", None), ("failed", 131026),
    ]  # fmt: skip


async def test_a_wamid_recorded_twice_stays_the_first(shop: Shop) -> None:
    (one,) = await queued(shop)

    await accept(shop, one, "w1")
    await accept(shop, one, "w2")

    assert (await state(shop, one))["wamid"] == "w1"
