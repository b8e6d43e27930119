"""What every journal promises: the double, on which the partition is tested, and the real one."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from actors.mailbox.errors import FencedError
from actors.mailbox.journal import Append, Batch, Journal, Lease, Progress, Retry, Settlement
from actors.mailbox.message import Message
from actors.mailbox.rows import published_day

Journals = Callable[[], Journal]
NOW = time.time()
TENANT = "0123456789abcdef0123456789abcdef"


def message(message_id: str, **fields: Any) -> Message:
    given = {"key": "k", "tenant": TENANT, "body": b"\x00\xff", "headers": {"n": 1, "s": "é"}, "published_at": NOW}
    return Message(message_id, **{**given, **fields})


def appends(*messages: Message, first: int = 1) -> list[Append]:
    return [Append(one, first + position, 0.5) for position, one in enumerate(messages)]


def settled(seq: int, one: Message) -> Settlement:
    return Settlement(seq, published_day(one), "acknowledged", "", 1)


async def taken(journal: Journal, owner: str = "a", epoch: int = -1, lease_s: float = 30.0) -> Lease:
    lease = await journal.take_over(owner, lease_s, epoch)
    assert lease is not None
    return lease


async def test_what_is_appended_waits_in_order_and_as_it_was(either: Journals) -> None:
    journal = either()
    epoch = (await taken(journal)).epoch
    sent = [message("m1"), message("m2", priority=7, ttl_ms=500, headers={})]

    written = await journal.write(epoch, Batch(appends(*sent)))

    rows = await journal.load(0, 10)
    assert list(written.rows) == [("m1", 1), ("m2", 2)]
    assert [row.message for row in rows] == [one._replace(published_at=rows[0].message.published_at) for one in sent]
    assert rows[0].message.published_at == pytest.approx(NOW, abs=1e-5)
    assert [(row.seq, row.intact, row.clock_s) for row in rows] == [(1, True, 0.5), (2, True, 0.5)]


async def test_the_same_id_again_has_no_effect(either: Journals) -> None:
    journal = either()
    epoch = (await taken(journal)).epoch
    await journal.write(epoch, Batch(appends(message("m1", body=b"first"))))

    again = await journal.write(epoch, Batch(appends(message("m1", body=b"second"), message("m2"), first=2)))

    assert list(again.rows) == [("m2", 3)]
    assert [row.message.body for row in await journal.load(0, 10)] == [b"first", b"\x00\xff"]


async def test_a_settled_message_does_not_wait_and_settling_twice_is_harmless(either: Journals) -> None:
    journal = either()
    epoch = (await taken(journal)).epoch
    one, two = message("m1"), message("m2")
    await journal.write(epoch, Batch(appends(one, two)))

    for _ in range(2):
        await journal.write(epoch, Batch(settlements=[settled(1, one)]))

    assert [row.seq for row in await journal.load(0, 10)] == [2]
    assert await journal.load_seqs([1, 2, 3]) == await journal.load_ids(["m1", "m2", "other"]) != []
    figures = await journal.figures(0)
    assert (await journal.highest(), figures.waiting, figures.dead_letters) == (2, 1, 0)


async def test_an_overtaken_epoch_writes_nothing(either: Journals) -> None:
    old, new = either(), either()
    one = message("m1")
    stale = (await taken(old, "a", lease_s=0.0)).epoch
    await old.write(stale, Batch(appends(one)))
    await taken(new, "b")

    with pytest.raises(FencedError):
        await old.write(stale, Batch(appends(message("m2"), first=2)))
    with pytest.raises(FencedError):
        await old.write(stale, Batch(settlements=[settled(1, one)]))

    assert [row.message.id for row in await new.load(0, 10)] == ["m1"]
    assert not (await old.tick(stale, Progress(1, "0", 0.0), lease_s=5.0, sweep_below=0)).held


async def test_a_lease_keeps_others_out_but_not_its_owner_come_back(either: Journals) -> None:
    first, second = either(), either()
    held = await taken(first, "a")

    assert await second.take_over("b", 5.0, -1) is None

    back = await taken(first, "a")
    assert (back.epoch, back.continued) == (held.epoch + 1, False)
    still = await taken(first, "a", epoch=back.epoch)
    assert (still.epoch, still.continued) == (back.epoch + 1, True)


async def test_a_released_partition_is_taken_at_once_where_it_was_left(either: Journals) -> None:
    first, second = either(), either()
    epoch = (await taken(first, "a")).epoch
    await first.release(epoch, Progress(17, "5", 12.5))

    lease = await taken(second, "b")

    assert (lease.low_water, lease.swept_to, lease.clock_s, lease.continued) == (17, "5", 12.5, False)


async def test_retries_are_remembered(either: Journals) -> None:
    journal = either()
    epoch = (await taken(journal)).epoch
    await journal.write(epoch, Batch(appends(message("m1"))))

    for lost in (1, 2):
        await journal.write(epoch, Batch(retries=[Retry(1, 0, lost, NOW + lost, 1.5 * lost, "gone")]))

    row = (await journal.load(0, 10))[0]
    assert (row.retries, row.lost, row.deferred_s) == (0, 2, 3.0)
    assert row.not_before == pytest.approx(NOW + 2, abs=1e-3)
