"""How many dead letters a partition says there are."""

from actors.mailbox.memory_journal import MemoryDatabase
from actors.mailbox.message import reject
from tests.unit.actors.mailbox.test_partition import message, owning, running, until


async def test_the_dead_letters_are_counted_again_after_a_lost_answer() -> None:
    async with running(database := MemoryDatabase()) as owner:
        await until(owning(owner))
        await owner.partition.count()
        await owner.partition.append([message("m1"), message("m2")])
        database.lost_answers = 1
        owner.settle(owner.take(), reject("never"))
        await until(lambda: owner.partition.epoch == 2 and owning(owner)())

        assert (len(database.letters()), owner.partition.count_wanted) == (2, True)
        await owner.partition.count()

        assert (owner.partition.dead_letters, owner.partition.count_wanted) == (2, False)
