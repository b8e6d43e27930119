"""What units of work write is found whenever they commit, in the double as in a real PostgreSQL."""

from collections.abc import Awaitable, Callable
from typing import Any

from actors.mailbox.journal import Batch, Journal, Look, Progress
from actors.mailbox.memory_journal import MemoryDatabase
from actors.mailbox.message import PublishedRow
from tests.contract.mailbox.conftest import Unit
from tests.contract.mailbox.test_every_journal import message, settled, taken
from tests.unit.actors.mailbox.test_partition import FAST, running
from tests.unit.actors.mailbox.test_partition_by_shard import BY_SHARD, read

EVERY = (1 << 63) - 1
Journals = Callable[[], Journal]
Units = Callable[[], Awaitable[Unit]]


async def test_the_sweep_does_not_skip_a_lower_seq_that_commits_late(either: Journals, units: Units) -> None:
    journal = either()
    epoch = (await taken(journal)).epoch
    early, late = await units(), await units()
    lower = await early.publish(message("low"))
    higher = await late.publish(message("high"))
    await late.commit()

    first = await journal.tick(epoch, Progress(1, "0", 0.0), Look(lease_s=None, sweep_below=EVERY))
    await early.commit()
    second = await journal.tick(epoch, Progress(1, first.swept_to, 0.0), Look(lease_s=None, sweep_below=EVERY))
    third = await journal.tick(epoch, Progress(1, second.swept_to, 0.0), Look(lease_s=None, sweep_below=EVERY))

    assert lower < higher
    assert list(first.seqs) == [higher]
    assert lower in second.seqs
    assert list(third.seqs) == []
    assert [row.seq for row in await journal.load_seqs([lower])] == [lower]


async def test_a_transaction_that_runs_for_long_does_not_have_the_sweeps_list_what_they_have_seen(
    either: Journals, units: Units
) -> None:
    journal = either()
    epoch = (await taken(journal)).epoch
    progress = Progress(1, "0", 0.0)
    long, early, late = [await units() for _ in range(3)]
    slow = await long.publish(message("slow"))
    one = await early.publish(message("m1"))
    await early.commit()

    first = await journal.tick(epoch, progress, Look(lease_s=None, sweep_below=EVERY))
    two = await late.publish(message("m2"))
    await late.commit()
    second = await journal.tick(epoch, progress, Look(lease_s=None, sweep_below=EVERY, seen=first.snapshot))
    third = await journal.tick(epoch, progress, Look(lease_s=None, sweep_below=EVERY, seen=second.snapshot))
    await long.commit()
    fourth = await journal.tick(epoch, progress, Look(lease_s=None, sweep_below=EVERY, seen=third.snapshot))
    after_all = await journal.tick(epoch, Progress(1, third.swept_to, 0.0), Look(lease_s=None, sweep_below=EVERY))

    assert [list(tick.seqs) for tick in (first, second, third, fourth)] == [[one], [two], [], [slow]]
    # The next owner, who knows no more than the oldest transaction that ran.
    assert list(after_all.seqs) == [slow, one, two]


async def test_the_sweep_lists_what_is_below_a_seq_settled_or_not(either: Journals, units: Units) -> None:
    journal = either()
    epoch = (await taken(journal)).epoch
    unit = await units()
    sent = [message("m1"), message("m2")]
    one, two = [await unit.publish(each) for each in sent]
    await unit.commit()
    await journal.write(epoch, Batch(settlements=[settled(one, sent[0])]))

    tick = await journal.tick(epoch, Progress(1, "0", 0.0), Look(lease_s=None, sweep_below=two))

    assert list(tick.seqs) == [one]
    assert [(row.message.id, row.clock_s) for row in await journal.load(0, 10)] == [("m2", None)]
    assert await journal.highest() == two


async def test_a_row_that_its_owner_is_told_of_overtakes_none_that_committed_before(
    either: Callable[[], Journal], units: Units
) -> None:
    journal: Any = either()
    policy = FAST._replace(ownership=FAST.ownership._replace(tick_s=0.2, renew_s=0.1))
    async with running(MemoryDatabase(), journal=journal, policy=policy, **BY_SHARD) as owner:
        await read(owner)
        late, prompt = await units(), await units()
        await late.publish(message("m1", key="k"))
        told = [PublishedRow("q", 0, await prompt.publish(message("m2", key="other")), message("m2", key="other"))]
        await prompt.commit()
        owner.partition.told(told)
        assert await owner.consume(1) == ["m2"]

        await late.commit()
        last = await units()
        told = [PublishedRow("q", 0, await last.publish(message("m3", key="k")), message("m3", key="k"))]
        await last.commit()
        owner.partition.told(told)

        assert await owner.consume(2) == ["m1", "m3"]
