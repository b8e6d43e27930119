"""Census and maintenance: a fault with one of many keeps them from none of the others."""

from actors.mailbox.letter_count import LetterCount
from actors.mailbox.maintenance import Maintenance
from actors.mailbox.memory_journal import InMemoryJournal


class Counted:
    """A partition that wants to be counted, and may be at fault."""

    count_wanted = True

    def __init__(self, *, faulty: bool) -> None:
        self._faulty = faulty

    async def count(self) -> None:
        if self._faulty:
            raise AttributeError("a fault in the program")
        self.count_wanted = False


class Kept(InMemoryJournal):
    """Counts how often it was maintained, and may be at fault."""

    kept = 0

    def __init__(self, *, faulty: bool) -> None:
        super().__init__()
        self._faulty = faulty

    async def maintain(self, days_ahead: int, days_kept: int) -> tuple[int, int]:
        if self._faulty:
            raise AttributeError("a fault in the program")
        self.kept += 1
        return await super().maintain(days_ahead, days_kept)


async def test_a_partition_that_cannot_be_counted_keeps_no_other_from_being_counted() -> None:
    partitions = [Counted(faulty=True), Counted(faulty=False)]

    assert not await LetterCount(partitions).once()

    assert [one.count_wanted for one in partitions] == [True, False]


async def test_a_journal_that_cannot_be_maintained_keeps_no_other_from_being_maintained() -> None:
    journals = [Kept(faulty=True), Kept(faulty=False)]

    assert not await Maintenance(journals).once()

    assert [one.kept for one in journals] == [0, 1]
