"""Two living processes of one actor's name on one partition: the elder may be where Ray cannot see it."""

import asyncio

import pytest

from actors.mailbox.errors import JournalUnavailableError
from actors.mailbox.memory_journal import MemoryDatabase
from actors.mailbox.message import ack
from actors.mailbox.ownership import State
from tests.unit.actors.mailbox.test_partition import message, owning, running, until

NAME = "spaza/mailbox:q:0"


async def test_the_younger_takes_over_at_once_and_the_elder_goes_passive_for_good() -> None:
    database = MemoryDatabase()
    async with running(database, NAME) as elder:
        await until(owning(elder))
        await elder.partition.append([message("m1")])
        batch = elder.take()
        async with running(database, NAME) as younger:
            await until(owning(younger))
            await until(lambda: elder.partition.state is State.PASSIVE)
            epoch = database.epoch

            elder.settle(batch, ack())
            with pytest.raises(JournalUnavailableError):
                await elder.partition.append([message("m2")])
            assert await younger.consume(1) == ["m1"]
            await asyncio.sleep(0.1)  # the elder has asked several times

            assert (database.epoch, younger.partition.state) == (epoch, State.OWNING)
            assert (elder.partition.state, elder.take()) == (State.PASSIVE, [])


async def test_the_elder_takes_over_when_the_younger_has_stopped_or_died() -> None:
    database = MemoryDatabase()
    async with running(database, NAME) as elder:
        await until(owning(elder))
        async with running(database, NAME, stops=True) as younger:
            await until(owning(younger))
            await until(lambda: elder.partition.state is State.PASSIVE)
        await younger.partition.stop(1.0)
        await until(owning(elder))

        async with running(database, NAME) as third:
            await until(owning(third))
            await until(lambda: elder.partition.state is State.PASSIVE)
        database.lapsed = True
        await until(owning(elder))


async def test_what_is_started_anew_does_not_wait_for_the_lease_of_the_one_that_died() -> None:
    database = MemoryDatabase()
    async with running(database, NAME) as died:
        await until(owning(died))
        await died.partition.pause(paused=True)

    async with running(database, NAME) as anew:
        await until(owning(anew))

        assert database.lapsed is False
        assert (anew.partition.epoch, anew.partition.paused) == (2, True)
