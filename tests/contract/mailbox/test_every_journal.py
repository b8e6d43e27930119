"""What every journal promises: the double, on which the partition is tested, and the real one."""

import math
import time
from collections.abc import Callable
from typing import Any

import pytest

from actors.mailbox.deaths import dead_letter
from actors.mailbox.errors import FencedError, JournalRefusedError
from actors.mailbox.journal import (
    Append,
    Batch,
    Counted,
    Journal,
    Lease,
    Look,
    Place,
    Progress,
    Retry,
    Settlement,
    Walk,
    may_be_more,
)
from actors.mailbox.message import Message
from actors.mailbox.redriven import redriven, stored_ids
from actors.mailbox.rows import published_day
from actors.mailbox.selection import Selection
from config.topology import Queue

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


async def test_seqs_that_the_journal_gives_are_in_the_order_in_which_messages_were_given(either: Journals) -> None:
    journal = either()
    epoch = (await taken(journal)).epoch
    sent = [message("c"), message("a"), message("b")]

    written = await journal.write(epoch, Batch([Append(one, None, 0.5) for one in sent], dead_letters=[message("d")]))

    seqs = dict(written.rows)
    assert seqs["c"] < seqs["a"] < seqs["b"]
    assert [row.message.id for row in await journal.load(0, 10)] == ["c", "a", "b"]


async def test_a_settled_message_does_not_wait_and_settling_twice_is_harmless(either: Journals) -> None:
    journal = either()
    epoch = (await taken(journal)).epoch
    one, two = message("m1"), message("m2")
    await journal.write(epoch, Batch(appends(one, two)))

    for _ in range(2):
        await journal.write(epoch, Batch(settlements=[settled(1, one)]))

    assert [row.seq for row in await journal.load(0, 10)] == [2]
    assert await journal.load_seqs([1, 2, 3]) == await journal.load_ids(["m1", "m2", "other"]) != []
    waiting = await journal.count(Counted(0, "0", []))
    assert (await journal.highest(), waiting.tenants, await journal.dead_letters()) == (2, {TENANT: 1}, 0)


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
    assert not (await old.tick(stale, Progress(1, "0", 0.0), Look(lease_s=5.0, sweep_below=0))).held


async def test_a_lease_keeps_others_out_but_not_its_owner_come_back(either: Journals) -> None:
    first, second = either(), either()
    held = await taken(first, "a#1")

    assert await second.take_over("b#2", 5.0, -1) is None

    back = await taken(first, "a#1")
    assert (back.epoch, back.continued) == (held.epoch + 1, False)
    still = await taken(first, "a#1", epoch=back.epoch)
    assert (still.epoch, still.continued) == (back.epoch + 1, True)


async def test_the_process_that_was_started_last_keeps_those_before_it_out(either: Journals) -> None:
    elder, younger = either(), either()
    held = await taken(elder, "a#1")

    anew = await taken(younger, "a#2")

    assert (anew.epoch, anew.continued) == (held.epoch + 1, False)
    assert await elder.take_over("a#1", 5.0, -1) is None
    assert await elder.take_over("a#1", 5.0, held.epoch) is None
    await younger.release(anew.epoch, Progress(1, "0", 0.0))
    assert (await taken(elder, "a#1")).epoch == anew.epoch + 1


async def test_a_released_partition_is_taken_at_once_where_it_was_left(either: Journals) -> None:
    first, second = either(), either()
    held = await taken(first, "a")
    await first.release(held.epoch, Progress(17, "5", 12.5, held.era))

    lease = await taken(second, "b")

    assert (lease.low_water, lease.swept_to, lease.clock_s, lease.continued) == (17, "5", 12.5, False)


async def test_what_was_seen_in_another_era_of_the_server_is_not_kept(either: Journals) -> None:
    journal = either()
    held = await taken(journal, "a")
    await journal.tick(held.epoch, Progress(3, "4", 1.0, held.era), Look(lease_s=30.0, sweep_below=0))
    await journal.tick(held.epoch, Progress(5, "900", 2.0, held.era - 1), Look(lease_s=30.0, sweep_below=0))
    await journal.release(held.epoch, Progress(6, "900", 3.0, held.era - 1))

    lease = await taken(journal, "b")

    assert (lease.low_water, lease.swept_to, lease.clock_s, lease.era) == (6, "4", 3.0, held.era)


@pytest.mark.parametrize(
    "broken",
    [
        Batch([Append(message("bad", headers={"s": "\ud83d"}), 2, 0.5)]),
        Batch(dead_letters=[message("bad", headers={"n": 2**64})]),
        Batch(retries=[Retry(1, 0, 0, 1e13, 0.0, "")]),
    ],
    ids=["append", "dead letter", "retry"],
)
async def test_what_cannot_be_held_is_refused_with_all_of_its_batch(either: Journals, broken: Batch) -> None:
    journal = either()
    epoch = (await taken(journal)).epoch
    kept = message("m1")

    with pytest.raises(JournalRefusedError):
        await journal.write(epoch, broken._replace(appends=[*appends(kept), *broken.appends]))

    assert await journal.load(1, 10) == []
    assert await journal.dead_letters() == 0
    await journal.write(epoch, Batch(appends(kept)))
    assert [row.message.id for row in await journal.load(1, 10)] == ["m1"]


async def test_retries_are_remembered(either: Journals) -> None:
    journal = either()
    epoch = (await taken(journal)).epoch
    await journal.write(epoch, Batch(appends(message("m1"), message("m2"))))

    for lost in (1, 2):
        await journal.write(epoch, Batch(retries=[Retry(1, 0, lost, NOW + lost, 1.5 * lost, "gone")]))

    row, untried = await journal.load(0, 10)
    assert (row.retries, row.lost, row.deferred_s) == (0, 2, 3.0)
    assert (row.tried, untried.tried) == (True, False)
    assert row.not_before == pytest.approx(NOW + 2, abs=1e-3)


def letter(message_id: str, reason: str, cause: str = "rejected", **fields: Any) -> Message:
    headers = {"x-last-death-reason": cause, "x-death-detail": reason}
    return message(message_id, headers={"correlation_id": "c1", **headers}, **fields)


async def died(journal: Journal, *letters: Message) -> int:
    epoch = (await taken(journal)).epoch
    await journal.write(epoch, Batch(appends(*letters)))
    ends = [Settlement(seq, published_day(one), "rejected", "", 1) for seq, one in enumerate(letters, 1)]
    await journal.write(epoch, Batch(dead_letters=letters, settlements=ends))
    return epoch


async def selected(journal: Journal, **wanted: Any) -> list[str]:
    found = await journal.peek("dead", Selection(**wanted), after_seq=0, limit=100, body_bytes=0)
    return [one.message.id for one in found]


async def test_dead_letters_are_selected_by_all_that_is_known_of_them(either: Journals) -> None:
    journal = either()
    await died(
        journal,
        letter("m1", "auth:190", tenant="a" * 32, published_at=NOW - 60),
        letter("m2", "unknown_phone_number", key="k2"),
        letter("m3", "", "expired", tenant="a" * 32),
    )

    assert await selected(journal) == ["m1", "m2", "m3"]
    assert await selected(journal, tenant="a" * 32) == ["m1", "m3"]
    assert await selected(journal, key="k2") == ["m2"]
    assert await selected(journal, reason="auth") == await selected(journal, reason="auth:190") == ["m1"]
    assert await selected(journal, reason="rejected") == ["m1", "m2"]
    assert await selected(journal, not_reasons=("auth", "expired")) == ["m2"]
    assert await selected(journal, until=NOW - 30) == ["m1"]
    assert await selected(journal, since=NOW - 30, ids=("m1", "m3")) == ["m3"]


async def test_what_is_peeked_at_shows_the_beginning_of_its_body_and_pages_by_seq(either: Journals) -> None:
    journal = either()
    epoch = (await taken(journal)).epoch
    await journal.write(epoch, Batch(appends(*(message(f"m{n}", body=b"0123456789") for n in range(3)))))
    await journal.write(epoch, Batch(retries=[Retry(2, 3, 1, NOW + 5, 0.0, "gone")]))

    first = await journal.peek("waiting", Selection(), after_seq=0, limit=2, body_bytes=4)
    rest = await journal.peek("waiting", Selection(), after_seq=first[-1].seq, limit=2, body_bytes=0)

    assert [(one.seq, one.message.id, one.message.body, one.size_bytes) for one in first] == [
        (1, "m0", b"0123", 10),
        (2, "m1", b"0123", 10),
    ]
    assert (first[1].retries, first[1].lost) == (3, 1)
    assert first[1].not_before == pytest.approx(NOW + 5, abs=1e-3)
    assert [(one.seq, one.message.body) for one in rest] == [(3, b"")]


async def test_messages_are_counted_by_tenant_and_reason(either: Journals) -> None:
    journal = either()
    old = NOW - 100
    await died(journal, letter("m1", "a"), letter("m2", "a", published_at=old), letter("m3", "b"))

    tallies = await journal.tally("dead", Selection())

    assert [one[:4] for one in tallies] == [(TENANT, "rejected", "a", 2), (TENANT, "rejected", "b", 1)]
    assert tallies[0].oldest_at == pytest.approx(old, abs=1e-3)
    assert await journal.tally("waiting", Selection()) == []


async def test_a_dead_letter_that_was_put_back_waits_again_and_is_dead_no_more(either: Journals) -> None:
    journal = either()
    epoch = await died(journal, letter("m1", "a"))
    [row] = await journal.load_letters(
        [(await journal.peek("dead", Selection(), after_seq=0, limit=1, body_bytes=0))[0].seq]
    )
    back = redriven(row.message, NOW)
    end = Settlement(row.seq, published_day(row.message), "redriven", "", 0)

    for _ in range(2):  # an operator who repeats himself
        await journal.write(epoch, Batch(appends(back, first=2), letters=[end]))

    waiting = await journal.load(0, 10)
    assert [(one.message.id, one.intact, one.message.headers["x-redriven"]) for one in waiting] == [("m1", True, 1)]
    assert waiting[0].message.published_at == pytest.approx(NOW, abs=1e-5)
    assert await journal.load_ids(stored_ids("m1")) == waiting
    assert await selected(journal) == []
    assert await journal.dead_letters() == 0


async def test_a_message_that_was_put_back_can_die_again(either: Journals) -> None:
    journal = either()
    epoch = await died(journal, letter("m1", "a"))
    [found] = await journal.peek("dead", Selection(), after_seq=0, limit=1, body_bytes=0)
    back = redriven(found.message, NOW)
    end = Settlement(found.seq, published_day(found.message), "redriven", "", 0)
    await journal.write(epoch, Batch(appends(back, first=2), letters=[end]))

    queue = Queue.model_validate({"name": "q", "bindings": [{"exchange": "x"}]})
    again = dead_letter(back, queue, "rejected", "b", NOW)
    await journal.write(
        epoch, Batch(dead_letters=[again], settlements=[Settlement(2, published_day(back), "rejected", "b", 1)])
    )

    assert await selected(journal, reason="b") == ["m1"]
    assert await selected(journal, redriven_before=int(NOW)) == []
    assert await selected(journal, redriven_before=int(NOW) + 1) == ["m1"]


async def test_a_pause_is_remembered_for_the_next_owner_and_an_overtaken_one_cannot_set_it(either: Journals) -> None:
    first, second = either(), either()
    stale = (await taken(first, "a", lease_s=0.0)).epoch
    await first.pause(stale, paused=True)

    lease = await taken(second, "b")

    assert lease.paused
    with pytest.raises(FencedError):
        await first.pause(stale, paused=False)
    await second.pause(lease.epoch, paused=False)
    assert not (await taken(second, "b")).paused


async def test_what_has_a_time_of_its_own_is_found_by_when_that_ends(either: Journals) -> None:
    journal = either()
    epoch = (await taken(journal)).epoch
    late, none, soon, over = (
        message("m1", ttl_ms=9_000),
        message("m2"),
        message("m3", ttl_ms=2_000),
        message("m4", ttl_ms=1),
    )
    await journal.write(epoch, Batch(appends(late, none, soon, over)))
    await journal.write(epoch, Batch(settlements=[settled(4, over)]))

    async def walk(from_seq: int, after: Place, until: float, limit: int) -> tuple[list[str], Place | None]:
        rows, ended = await journal.load_expired(Walk(from_seq, after, until, limit))
        return [row.message.id for row in rows], ended

    assert await walk(1, (0.0, -1), 100.0, 10) == (["m3", "m1"], None)
    assert await walk(1, (-math.inf, -1), 2.5, 10) == (["m3"], None)
    assert await walk(1, (2.5, 3), 100.0, 10) == (["m1"], None)
    assert await walk(2, (1.0, -1), 100.0, 1) == (["m3"], (2.5, 3))
    assert await walk(2, (2.5, 3), 100.0, 1) == ([], (9.5, 1))
    assert await walk(1, (9.5, 1), 100.0, 10) == ([], None)


async def test_a_walk_of_what_ends_goes_on_where_it_ended_and_walks_no_more_than_it_may(either: Journals) -> None:
    journal = either()
    epoch = (await taken(journal)).epoch
    # Many of one commit end at the same time.
    sent = [message(f"m{number}", ttl_ms=1_000) for number in range(1, 8)]
    await journal.write(epoch, Batch(appends(*sent)))
    await journal.write(epoch, Batch(settlements=[settled(seq, sent[seq - 1]) for seq in (1, 2, 3, 4, 6)]))

    parts: list[list[int]] = []
    after: Place | None = (-math.inf, -1)
    while after is not None:
        rows, after = await journal.load_expired(Walk(1, after, 100.0, 3))
        parts.append([row.seq for row in rows])

    assert parts == [[], [5], [7]]


async def test_a_rehearsal_leaves_nothing_and_knows_whether_the_epoch_still_holds(either: Journals) -> None:
    old, new = either(), either()
    epoch = (await taken(old, "a", lease_s=0.0)).epoch
    await old.write(epoch, Batch(appends(message("m1"))))

    for _ in range(2):
        await old.rehearse(epoch)
    assert [row.message.id for row in await old.load(0, 10)] == ["m1"]
    assert await old.highest() == 1

    await taken(new, "b")
    with pytest.raises(FencedError):
        await old.rehearse(epoch)


async def test_a_reading_ends_with_the_row_that_fills_it(either: Journals) -> None:
    journal = either()
    epoch = (await taken(journal)).epoch
    for number in range(1, 6):
        one = message(f"m{number}", body=bytes(3_000_000), ttl_ms=1_000)
        await journal.write(epoch, Batch(appends(one, first=number)))

    readings = [
        await journal.load(1, 100),
        await journal.load_seqs([1, 2, 3, 4, 5]),
    ]
    expired, ended = await journal.load_expired(Walk(1, (0.0, -1), 100.0, 100))
    rest = await journal.load(4, 100)

    assert [[row.seq for row in rows] for rows in (*readings, expired)] == [[1, 2, 3]] * 3
    assert ended == (1.5, 3)
    assert all(may_be_more(rows, 100) for rows in readings)
    assert [row.seq for row in rest] == [4, 5]
    assert not may_be_more(rest, 100)


async def test_a_dead_letter_is_there_again_though_one_of_its_id_was_put_back_or_purged(either: Journals) -> None:
    journal = either()
    queue = Queue.model_validate({"name": "q", "bindings": [{"exchange": "x"}]})
    one = message("m1")
    epoch = (await taken(journal)).epoch
    await journal.write(epoch, Batch(dead_letters=[dead_letter(one, queue, "rejected", "a", NOW)]))

    for count, cause in ((2, "purged"), (3, "redriven")):
        [found] = await journal.peek("dead", Selection(ids=("m1",)), after_seq=0, limit=9, body_bytes=0)
        end = Settlement(found.seq, published_day(found.message), cause, "", 0)  # type: ignore[arg-type]
        await journal.write(epoch, Batch(letters=[end]))
        other, again = letter("other", "b"), dead_letter(one, queue, "rejected", f"b{count}", NOW)
        copies = [await journal.write(epoch, Batch(dead_letters=[other, again])) for _ in range(2)]

        assert [one.dead_letters for one in copies] == [1 + (count == 2), 0]
        [found] = await journal.peek("dead", Selection(ids=("m1",)), after_seq=0, limit=9, body_bytes=9)
        deaths: Any = found.message.headers["x-death"]
        assert (found.message.id, found.message.body) == (one.id, one.body)
        assert ([death["count"] for death in deaths], found.message.headers["x-death-detail"]) == ([count], f"b{count}")
        [row] = await journal.load_letters([found.seq])
        assert row.intact
