"""The shorter way to an owner on the same machine, over real sockets and with owners that are killed."""

import asyncio
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from actors.doors import doors
from actors.doors.doors import LARGEST_BYTES, Address, Door, Doors, Doorway

_OWNER = """
import asyncio
import pickle
from actors.doors.doors import Doorway

async def answer(content):
    if content == b"never":
        await asyncio.Event().wait()
    return content

async def main():
    print(pickle.dumps(await Doorway(answer).open()).hex(), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


Answer = Callable[[bytes], Awaitable[Any]]
MakeDoorway = Callable[[Answer], Doorway]


class Owner:
    """An owner in a process of its own, that answers with what it was given."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Address:
        self._process = subprocess.Popen([sys.executable, "-c", _OWNER], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        address: Address = pickle.loads(bytes.fromhex(self._process.stdout.readline().decode()))
        return address

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture
def owner() -> Iterator[Owner]:
    one = Owner()
    yield one
    one.kill()


async def found(all_doors: Doors, other_than: Door | None = None) -> Door:
    async with asyncio.timeout(60.0):
        while (door := all_doors.of("owner")) is None or door is other_than:  # noqa: ASYNC110 - for the test alone
            await asyncio.sleep(0.01)
    return door


@pytest.fixture
async def doorway() -> AsyncIterator[MakeDoorway]:
    made: list[Doorway] = []

    def make(answer: Answer) -> Doorway:
        made.append(Doorway(answer))
        return made[-1]

    yield make
    for one in made:
        one.close()
    await asyncio.sleep(0)


def known(address: Address) -> Callable[[str], Awaitable[Address]]:
    async def ask(_owner: str) -> Address:
        return address

    return ask


async def looked(all_doors: Doors) -> Door | None:
    all_doors.of("owner")
    await asyncio.gather(*all_doors._looks.values())
    return all_doors.of("owner")


async def test_each_call_has_its_own_answer_whatever_their_order(doorway: MakeDoorway) -> None:
    gates = [asyncio.Event() for _ in range(3)]

    async def answer(content: bytes) -> tuple[int, int]:
        number, size = content[0], len(content)
        await gates[number].wait()
        return number, size

    door = await found(Doors(known(await doorway(answer).open())))
    calls = [asyncio.ensure_future(door.call(bytes([number]) * (1 + number * 3_000_000))) for number in range(3)]
    for gate in reversed(gates):
        gate.set()
        await asyncio.sleep(0.05)

    assert await asyncio.gather(*calls) == [(0, 1), (1, 3_000_001), (2, 6_000_001)]


async def test_a_call_that_raised_goes_another_way_and_the_next_one_by_the_door(doorway: MakeDoorway) -> None:
    async def answer(content: bytes) -> bytes:
        if content == b"bad":
            raise ValueError(content)
        return content

    door = await found(Doors(known(await doorway(answer).open())))

    with pytest.raises(ConnectionError):
        await door.call(b"bad")
    with pytest.raises(ConnectionError):
        await door.call(b"x" * (LARGEST_BYTES + 1))
    assert await door.call(b"good") == b"good"


async def test_what_is_under_way_when_its_owner_is_killed_ends_at_once_and_the_next_owner_has_another_door(
    owner: Owner,
) -> None:
    addresses = [owner.start()]

    async def ask(_owner: str) -> Address:
        return addresses[-1]

    all_doors = Doors(ask)
    door = await found(all_doors)
    assert await door.call(b"before") == b"before"
    waiting = asyncio.ensure_future(door.call(b"never"))
    await asyncio.sleep(0.05)

    owner.kill()

    with pytest.raises(ConnectionError):
        async with asyncio.timeout(60.0):
            await waiting
    with pytest.raises(ConnectionError):
        await door.call(b"after")
    assert all_doors.of("owner") is None
    addresses.append(owner.start())
    assert await (await found(all_doors, door)).call(b"again") == b"again"


async def test_an_owner_that_has_just_gone_is_no_warning() -> None:
    async def ask(_owner: str) -> Address:
        raise ConnectionError("gone")

    with capture_logs() as lines:
        assert await looked(Doors(ask)) is None

    assert [(line["event"], line["log_level"]) for line in lines] == [("door_not_entered", "info")]


async def test_a_call_that_nobody_waits_for_any_more_disturbs_no_other(owner: Owner) -> None:
    door = await found(Doors(known(owner.start())))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await door.call(b"never")

    assert await door.call(b"next") == b"next"


async def test_a_door_that_is_left_is_entered_no_more(owner: Owner) -> None:
    all_doors = Doors(known(owner.start()))
    door = await found(all_doors)
    waiting = asyncio.ensure_future(door.call(b"never"))
    await asyncio.sleep(0.05)

    all_doors.leave("owner")

    with pytest.raises(ConnectionError):
        await waiting
    assert all_doors.of("owner") is None
    assert await found(all_doors) is not door


async def test_a_door_whose_loop_ends_before_it_listens_is_closed(owner: Owner) -> None:
    reader, writer = await asyncio.open_unix_connection(f"\0{owner.start().name}")
    before = asyncio.all_tasks()
    door = Door(reader, writer)

    for task in asyncio.all_tasks() - before:
        task.cancel()
        await asyncio.wait([task])

    assert not door.is_open
    assert writer.is_closing()


@pytest.mark.parametrize("name", ["", "spaza-mailbox-of-nobody"])
async def test_where_there_is_no_door_nobody_is_asked_again_and_again(name: str) -> None:
    asked = 0

    async def ask(_owner: str) -> Address:
        nonlocal asked
        asked += 1
        return Address(name, bytes(32), bytes(32))

    all_doors = Doors(ask)
    for _ in range(3):
        assert await looked(all_doors) is None

    assert asked == 1


async def test_an_owner_that_cannot_be_asked_is_asked_later() -> None:
    async def ask(_owner: str) -> Address:
        raise ConnectionError

    assert await looked(Doors(ask)) is None


async def opened(doorway: MakeDoorway) -> Address:
    async def answer(content: bytes) -> bytes:
        return content

    return await doorway(answer).open()


async def is_turned_away(name: str, says: bytes) -> bool:
    reader, writer = await asyncio.open_unix_connection(f"\0{name}")
    writer.write(says)
    try:
        async with asyncio.timeout(60.0):
            return await reader.read() == b""
    except ConnectionError:
        return True
    finally:
        writer.close()


async def test_nobody_enters_whom_ray_has_not_told_the_secret(doorway: MakeDoorway) -> None:
    address = await opened(doorway)

    assert await is_turned_away(address.name, bytes(32))
    assert await is_turned_away(address.name, address.opens)
    assert await looked(Doors(known(address._replace(enters=bytes(32))))) is None
    assert await looked(Doors(known(address))) is not None


async def test_nobody_enters_by_a_door_that_another_has_opened_under_its_name(doorway: MakeDoorway) -> None:
    address = await opened(doorway)

    assert await looked(Doors(known(address._replace(opens=bytes(32))))) is None


async def test_nobody_enters_who_is_another_user_and_nobody_enters_anothers_door(
    doorway: MakeDoorway, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = await opened(doorway)
    monkeypatch.setattr(doors, "_is_own", lambda _connection: False)

    assert await looked(Doors(known(address))) is None
    assert await is_turned_away(address.name, address.enters)


def test_whose_process_the_other_side_is_says_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = socket.socketpair()
    assert doors._is_own(here)
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    assert not doors._is_own(there)
    here.close()
    there.close()


async def test_who_announces_more_than_there_can_be_is_turned_away(doorway: MakeDoorway) -> None:
    address = await opened(doorway)
    reader, writer = await asyncio.open_unix_connection(f"\0{address.name}")
    writer.write(address.enters)
    assert await reader.readexactly(32) == address.opens
    writer.write((LARGEST_BYTES + 1).to_bytes(4, "big") + bytes(8))

    async with asyncio.timeout(60.0):
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
    writer.close()
