"""What units of work write is found whenever they commit, in the double as in a real PostgreSQL."""

from collections.abc import Awaitable, Callable

from actors.mailbox.journal import Batch, Journal, Progress
from tests.contract.mailbox.conftest import Unit
from tests.contract.mailbox.test_every_journal import message, settled, taken

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

    first = await journal.tick(epoch, Progress(1, "0", 0.0), lease_s=None, sweep_below=EVERY)
    await early.commit()
    second = await journal.tick(epoch, Progress(1, first.swept_to, 0.0), lease_s=None, sweep_below=EVERY)
    third = await journal.tick(epoch, Progress(1, second.swept_to, 0.0), lease_s=None, sweep_below=EVERY)

    assert lower < higher
    assert list(first.seqs) == [higher]
    assert lower in second.seqs
    assert list(third.seqs) == []
    assert [row.seq for row in await journal.load_seqs([lower])] == [lower]


async def test_the_sweep_lists_what_is_below_a_seq_settled_or_not(either: Journals, units: Units) -> None:
    journal = either()
    epoch = (await taken(journal)).epoch
    unit = await units()
    sent = [message("m1"), message("m2")]
    one, two = [await unit.publish(each) for each in sent]
    await unit.commit()
    await journal.write(epoch, Batch(settlements=[settled(one, sent[0])]))

    tick = await journal.tick(epoch, Progress(1, "0", 0.0), lease_s=None, sweep_below=two)

    assert list(tick.seqs) == [one]
    assert [(row.message.id, row.clock_s) for row in await journal.load(0, 10)] == [("m2", None)]
    assert await journal.highest() == two
