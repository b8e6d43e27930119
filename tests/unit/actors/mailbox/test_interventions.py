"""What an operator does to one partition, on the journal's double."""

import time

import pytest

from actors.mailbox.errors import JournalUnavailableError
from actors.mailbox.memory_journal import MemoryDatabase
from actors.mailbox.message import ack, reject, retry_after
from actors.mailbox.redriven import (
    COUNT,
    MOST,
    message_id,
    never_redriven,
    plain_id,
    published_day,
    redriven,
    redrives,
    stored_id,
    stored_ids,
)
from actors.mailbox.selection import CAUSE, DETAIL, Selection
from tests.unit.actors.mailbox.test_partition import Owner, message, owning, running, until

ALL = Selection()


async def with_dead_letters(owner: Owner, database: MemoryDatabase, *ids: str, reason: str = "unknown_number") -> None:
    await until(owning(owner))
    await owner.partition.append([message(one) for one in ids])
    await until(lambda: owner.window.ready >= len(ids))
    owner.settle(owner.take(), reject(reason))
    await until(lambda: len(database.letters()) == len(ids))


async def test_a_dead_letter_that_is_redriven_is_delivered_once_more_and_is_dead_no_longer() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        await with_dead_letters(owner, database, "m1", "m2")
        operate = owner.partition.interventions

        step = await operate.redrive(ALL, after_seq=0, limit=10)
        again = await operate.redrive(ALL, after_seq=0, limit=10)
        handled = await owner.consume(2)

        assert (step.ids, again.ids) == (("m1", "m2"), ())
        assert handled == ["m1", "m2"]
        assert owner.take() == []
        assert owner.partition.dead_letters == 0
        assert {one.cause for one in database.letters_settled.values()} == {"redriven"}


async def test_what_was_damaged_is_put_back_only_if_the_operator_names_that_reason() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        await with_dead_letters(owner, database, "m1", "m2", reason="corrupt")
        row = next(row for row in database.letters() if row.message.id == "m1")
        died = row.message._replace(id="damaged", headers={**row.message.headers, CAUSE: "corrupt", DETAIL: "checksum"})
        database.bury(died)
        operate = owner.partition.interventions

        of_all = await operate.redrive(ALL, after_seq=0, limit=10)
        by_id = await operate.redrive(Selection(ids=("damaged",)), after_seq=0, limit=10)
        named = await operate.redrive(Selection(reason="checksum"), after_seq=0, limit=10)

        assert [(step.ids, step.corrupt) for step in (of_all, by_id, named)] == [
            (("m1", "m2"), 1), ((), 1), (("damaged",), 0),
        ]  # fmt: skip


async def test_a_redriven_message_that_dies_again_is_a_dead_letter_again_and_can_be_redriven_again() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        await with_dead_letters(owner, database, "m1")
        for times in (1, 2):
            await owner.partition.interventions.redrive(ALL, after_seq=0, limit=10)
            batch = owner.take()
            assert [(one.message.id, redrives(one.message)) for one in batch] == [("m1", times)]
            owner.settle(batch, reject("still unknown"))
            await until(lambda: len(database.letters()) == 1)

        assert owner.partition.dead_letters == 1


async def test_a_letter_that_goes_round_and_round_is_left_and_counted() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        worn = message("m1")._replace(headers={COUNT: MOST - 1})
        await until(owning(owner))
        await owner.partition._writer.append([worn, message("m2")])  # as when it was put back the last time
        await until(lambda: owner.window.ready == 2)
        owner.settle(owner.take(), reject("unknown_number"))
        await until(lambda: len(database.letters()) == 2)

        steps = []
        for _ in range(2):
            steps.append(await owner.partition.interventions.redrive(ALL, after_seq=0, limit=10))
            await until(lambda: owner.window.ready > 0)
            owner.settle(owner.take(), reject("unknown_number"))
            await until(lambda: len(database.letters()) == 2)

        assert [(step.ids, step.worn_out) for step in steps] == [(("m1", "m2"), 0), (("m2",), 1)]
        assert owner.partition.counters["loops_cut"] == 1


async def test_what_died_anew_since_the_redrive_began_is_not_redriven_again_by_it() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        await with_dead_letters(owner, database, "m1")
        begun = Selection(redriven_before=int(time.time()))
        first = await owner.partition.interventions.redrive(begun, after_seq=0, limit=10)
        owner.settle(owner.take(), reject("still unknown"))
        await until(lambda: len(database.letters()) == 1)

        second = await owner.partition.interventions.redrive(begun, after_seq=0, limit=10)

        assert (first.ids, second.ids) == (("m1",), ())


async def test_only_what_is_selected_is_redriven() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        await with_dead_letters(owner, database, "m1", "m2", "m3")

        step = await owner.partition.interventions.redrive(Selection(ids=("m2",)), after_seq=0, limit=10)

        assert step.ids == ("m2",)
        assert [row.message.id for row in database.letters()] == ["m1", "m3"]


async def test_a_redrive_whose_answer_was_lost_can_be_repeated() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        await with_dead_letters(owner, database, "m1")
        database.lost_answers = 1
        with pytest.raises(JournalUnavailableError):
            await owner.partition.interventions.redrive(ALL, after_seq=0, limit=10)
        await until(owning(owner))

        step = await owner.partition.interventions.redrive(ALL, after_seq=0, limit=10)

        assert step.ids == ()
        assert await owner.consume(1) == ["m1"]
        assert owner.take() == []


async def test_what_waits_can_be_purged_but_not_what_a_consumer_has() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        await until(owning(owner))
        await owner.partition.append([message("m1", "k1"), message("m2", "k1"), message("m3", "k2")])
        owner.settle(owner.take()[1:], retry_after(60.0, "later"))  # m3; m1 stays in flight

        step = await owner.partition.interventions.purge_waiting(ALL, after_seq=0, limit=10)

        assert (step.ids, step.in_flight) == (("m2", "m3"), 1)
        assert {one.cause for one in database.settled.values()} == {"purged"}
        assert database.dead_letters == {}
        await owner.partition.append([message("m4", "k2")])
        assert await owner.consume(1) == ["m4"]  # its key is free, though its head was deferred


async def test_what_is_not_in_memory_is_purged_as_well() -> None:
    database = MemoryDatabase()
    async with running(database, window=2) as owner:
        await until(owning(owner))
        await owner.partition.append([message(f"m{n}") for n in range(6)])

        step = await owner.partition.interventions.purge_waiting(ALL, after_seq=0, limit=10)

        assert len(step.ids) == 6
        assert database.waiting() == []
        await until(lambda: owner.partition.waiting == 0)
        assert owner.take() == []


async def test_dead_letters_can_be_purged_and_stay_known() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        await with_dead_letters(owner, database, "m1", "m2")

        step = await owner.partition.interventions.purge_dead(Selection(ids=("m1",)), after_seq=0, limit=10)

        assert step.ids == ("m1",)
        assert [row.message.id for row in database.letters()] == ["m2"]
        assert [one.cause for one in database.letters_settled.values()] == ["purged"]
        assert owner.partition.dead_letters == 1


async def test_a_paused_partition_takes_messages_and_delivers_none_not_even_under_its_next_owner() -> None:
    database = MemoryDatabase()
    async with running(database) as first:
        await until(owning(first))
        await first.partition.pause(paused=True)
        await first.partition.append([message("m1")])
        assert first.take() == []

    async with running(database) as second:
        await until(owning(second))
        await until(lambda: second.window.size == 1)
        assert second.take() == []
        assert second.partition.statistics()["paused"] is True

        await second.partition.pause(paused=False)
        batch = second.take()
        second.settle(batch, ack())

    assert [one.message.id for one in batch] == ["m1"]


async def test_who_does_not_own_the_partition_changes_nothing() -> None:
    owner = Owner(MemoryDatabase(), "a")
    await owner.partition.abandon()

    with pytest.raises(JournalUnavailableError):
        await owner.partition.pause(paused=True)
    with pytest.raises(JournalUnavailableError):
        await owner.partition.interventions.redrive(ALL, after_seq=0, limit=10)


def test_the_row_of_a_redriven_message_has_an_id_of_its_own_which_no_consumer_sees() -> None:
    one = message("m1")

    again = redriven(redriven(one, 1_000_000.0), 2_000_000.0)

    assert stored_id(one) == "m1"
    assert again.id == "m1" == message_id(stored_id(again), again.headers) == plain_id(stored_id(again))
    assert stored_id(again) != stored_id(redriven(one, 0.0)) != "m1"
    assert {stored_id(one), stored_id(again)} < set(stored_ids("m1"))
    assert again.published_at == one.published_at
    assert published_day(again) == 2_000_000 // 86_400


def test_an_id_that_looks_like_a_redriven_one_stays_as_it_is() -> None:
    one = message("m1\x1f1")

    assert message_id(stored_id(one), one.headers) == "m1\x1f1"


def test_what_is_published_with_the_headers_of_a_message_that_was_put_back_was_not() -> None:
    taken_over = redriven(message("m1"), 1_000_000.0).headers
    one = message("m2")._replace(headers={**taken_over, "correlation_id": "c"})

    assert stored_id(never_redriven(one)) == "m2"
    assert never_redriven(one).headers["correlation_id"] == "c"
    assert published_day(never_redriven(one)) == int(one.published_at // 86_400)
