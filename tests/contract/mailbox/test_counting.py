"""What waits is counted exactly, whoever writes and settles meanwhile."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from actors.mailbox.journal import Append, Batch, Counted, Journal, Look, Progress
from actors.mailbox.message import Message
from actors.mailbox.postgres_journal import PostgresJournal
from tests.contract.mailbox.conftest import Unit
from tests.contract.mailbox.test_every_journal import TENANT, appends, message, settled, taken
from tests.contract.mailbox.test_sweeping import EVERY

OTHER = "f" * 32
ALL = Counted(0, "0", [])


def some(tenants: str) -> list[Message]:
    return [message(f"m{place}", tenant=tenant) for place, tenant in enumerate(tenants)]


async def test_what_waits_is_counted_by_tenant(either: Callable[[], Journal]) -> None:
    journal = either()
    epoch = (await taken(journal)).epoch
    sent = some("aabbb")
    await journal.write(epoch, Batch(appends(*sent), settlements=[settled(1, sent[0])]))
    await journal.write(epoch, Batch(settlements=[settled(5, sent[4])]))

    assert (await journal.count(ALL)).tenants == {"a": 1, "b": 2}
    assert (await journal.count(Counted(3, "0", []))).tenants == {"b": 2}
    # What is being settled counts, whether it is already or not.
    assert (await journal.count(Counted(0, "0", [1, 2, 5]))).tenants == {"a": 2, "b": 3}


async def test_a_count_that_goes_on_beside_sees_the_journal_as_it_was_when_it_began(
    either: Callable[[], Journal],
) -> None:
    journal = either()
    epoch = (await taken(journal)).epoch
    sent = some("ab")
    await journal.write(epoch, Batch(appends(*sent)))

    counting = await journal.begin_count(ALL)
    await journal.write(epoch, Batch([Append(message("late"), 3, 0.0)], settlements=[settled(1, sent[0])]))

    assert (await counting.result()).tenants == {"a": 1, "b": 1}
    assert (await journal.count(ALL)).tenants == {"b": 1, TENANT: 1}


async def test_each_row_of_a_unit_of_work_is_counted_once_whenever_it_commits(
    either: Callable[[], Journal], units: Callable[[], Awaitable[Unit]]
) -> None:
    journal = either()
    epoch = (await taken(journal)).epoch
    slow, before, after = [await units() for _ in range(3)]
    await slow.publish(message("slow"))
    await before.publish(message("before", tenant=OTHER))
    await before.commit()

    # The low water mark may be above them: late ones are found by their transactions.
    count = await journal.count(Counted(EVERY, "0", []))
    seen = Counter(count.tenants)
    await after.publish(message("after", tenant=OTHER))
    await after.commit()
    snapshot = count.snapshot
    for step in range(4):
        if step == 2:
            await slow.commit()
        tick = await journal.tick(epoch, Progress(1, "0", 0.0), Look(lease_s=None, sweep_below=EVERY, since=snapshot))
        snapshot = tick.snapshot
        seen.update(tick.appeared)

    assert count.tenants == {OTHER: 1}
    assert seen == {OTHER: 2, TENANT: 1}


async def test_a_hundred_thousand_messages_are_counted_at_once(
    journals: Callable[[], PostgresJournal], owner: Any, queue_name: str
) -> None:
    journal = journals()
    await taken(journal)
    await owner.execute(
        "INSERT INTO spaza.journal (published_on, queue, partition, seq, message_id, tenant_id, key, priority,"
        " published_at, clock_s, headers, body, checksum, transactional)"
        " SELECT current_date, $1, 0, n, 'm' || n, 't' || n % 50, 'k', 0, now(), 0, '{}', repeat('x', 200)::bytea, 0,"
        " false FROM generate_series(1, 100000) AS n",
        queue_name,
    )

    counting = await journal.begin_count(ALL)

    assert set((await counting.result()).tenants.values()) == {2_000}
