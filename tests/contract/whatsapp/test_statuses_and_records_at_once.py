"""A wamid is recorded and a status of it without our id is kept, both at the same moment: they find each other."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest

from tests.contract.whatsapp.conftest import Shop
from tests.contract.whatsapp.test_statuses import AT, accept, keep, queued, state, status

BLOCKED = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
Owner: TypeAlias = "asyncpg.Connection[Any]"


async def waiting(owner: Owner, count: int) -> None:
    """Return when so many backends wait for a lock."""
    async with asyncio.timeout(60.0):
        while await owner.fetchval(BLOCKED) < count:  # noqa: ASYNC110 - nothing here is told of locks
            await asyncio.sleep(0.01)


async def one_behind_the_other(owner: Owner, first: Coroutine[Any, Any, Any], second: Coroutine[Any, Any, Any]) -> None:
    """Begin the second while the first waits, in its statement, for the owner's open transaction; then end that."""
    begun = asyncio.create_task(first)
    await waiting(owner, 1)
    behind = asyncio.create_task(second)
    await waiting(owner, 2)
    await owner.execute("ROLLBACK")
    await asyncio.gather(begun, behind)


@pytest.mark.parametrize("kept", ["sent", "failed", "read"])
async def test_a_status_that_comes_while_its_wamid_is_recorded_finds_the_message(
    shop: Shop, owner: Owner, kept: str
) -> None:
    (one,) = await queued(shop)
    await owner.execute("BEGIN")
    await shop.rows("SELECT FROM {schema}.outgoing_message WHERE id = $1 FOR UPDATE", one)

    await one_behind_the_other(owner, accept(shop, one, "w"), keep(shop, status("w", kept, error_code=7)))

    row = await state(shop, one)
    assert (row["state"], row["wamid"], row["error_code"]) == (kept, "w", 7)


@pytest.mark.parametrize("kept", ["sent", "failed", "read"])
async def test_a_wamid_that_is_recorded_while_its_status_is_kept_finds_the_status(
    shop: Shop, owner: Owner, kept: str
) -> None:
    (one,) = await queued(shop)
    await owner.execute("BEGIN")
    await shop.rows(
        "INSERT INTO {schema}.message_status (wamid, state, rank, at, body, received_at)"
        " VALUES ('w', $1, 0, now(), '', now())",
        kept,
    )

    await one_behind_the_other(owner, keep(shop, status("w", kept, error_code=7)), accept(shop, one, "w"))

    row = await state(shop, one)
    assert (row["state"], row["wamid"], row["error_code"]) == (kept, "w", 7)


async def test_a_status_with_our_id_and_the_record_of_its_message_wait_for_nothing_but_the_row(
    shop: Shop, owner: Owner
) -> None:
    (one,) = await queued(shop)
    await owner.execute("BEGIN")
    await shop.rows("SELECT FROM {schema}.outgoing_message WHERE id = $1 FOR UPDATE", one)

    await one_behind_the_other(
        owner, accept(shop, one, "w"), keep(shop, status("w", "read", ours=one), status("w2", "sent", ours="f" * 32))
    )

    assert (await state(shop, one))["state"] == "read"


async def test_what_came_early_is_applied_by_rank_with_its_time_and_its_error(shop: Shop) -> None:
    first, second, third = await queued(shop, 3)
    await keep(
        shop,
        status("w1", "failed", error_code=131026, after_s=1),
        status("w1", "delivered", after_s=2),
        status("w2", "failed", error_code=131047, after_s=3),
        status("w3", "unheard-of", after_s=4),
    )

    for one, wamid in ((first, "w1"), (second, "w2"), (third, "w3")):
        await accept(shop, one, wamid)

    rows = [await state(shop, one) for one in (first, second, third)]
    assert [(row["state"], row["rank"], row["error_code"]) for row in rows] == [
        ("delivered", 4, None), ("failed", 3, 131047), ("accepted", 1, None),
    ]  # fmt: skip
    assert [row["state_at"] for row in rows[:2]] == [AT + timedelta(seconds=2), AT + timedelta(seconds=3)]


async def test_what_is_told_of_a_second_wamid_does_not_move_the_message(shop: Shop) -> None:
    (one,) = await queued(shop)
    await accept(shop, one, "w1")
    await keep(shop, status("w2", "delivered"))

    await accept(shop, one, "w2")

    row = await state(shop, one)
    assert (row["state"], row["wamid"]) == ("accepted", "w1")
