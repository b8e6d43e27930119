"""A shorter way to an owner on the same machine: calls over a local socket, beside Ray's.

A hop through Ray costs its two processes 1.5 ms of CPU whatever it carries, this one a tenth of that. It can do nothing
that Ray's cannot: who finds no door, or loses it in the middle of a call, calls through Ray, which knows what has
become of the owner.

The name is Linux's alone and stands in no folder, so that nothing is left of it when its process ends, however it ends.
Anybody on the machine may see it and knock, or open another of that name when the owner has gone. So each side shows
the other a secret that Ray alone tells, and looks whose process it is, for both unpickle what they are given.
"""

import asyncio
import hmac
import os
import pickle
import secrets
import socket
import struct
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any, NamedTuple

from telemetry.log import get_logger

# Of a frame: how long its content is, and of which call.
_HEAD = struct.Struct("!IQ")
# Process, user and group of the other side.
_PEER = struct.Struct("3i")
_SECRET_BYTES = 32
# Whoever enters has so long to show its secret.
_KNOCK_S = 5.0
# Calls of one connection that are answered at once; then nothing more is read of it.
_AT_ONCE = 64
# More than publishers send in a call; what is larger goes through Ray.
LARGEST_BYTES = 64_000_000
_BUFFER_BYTES = 1 << 20
# After a look that failed, and where there is no door, for an owner may move to this machine.
_AGAIN_S, _SELDOM_S = 1.0, 60.0
# Of publishers. Whoever had them made may be gone before they have ended.
_under_way: set["asyncio.Task[None]"] = set()
_log = get_logger("doors")


class Address(NamedTuple):
    """Of a door: its name, empty for none, and what who enters and who opens show each other."""

    name: str
    enters: bytes
    opens: bytes


NOWHERE = Address("", b"", b"")


class Doorway:
    """The owner's side. Open until it is closed or its process ends.

    Args:
        answer: gives the answer to the content of a call; it is pickled.
    """

    def __init__(self, answer: Callable[[bytes], Awaitable[Any]]) -> None:
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._address = NOWHERE
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> Address:
        """Open it; ``NOWHERE`` where the system has no such doors."""
        if not hasattr(socket, "SO_PEERCRED"):
            return NOWHERE
        name = f"spaza-door-{secrets.token_hex(16)}"
        self._address = Address(name, secrets.token_bytes(_SECRET_BYTES), secrets.token_bytes(_SECRET_BYTES))
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(f"\0{name}")
        listener.setblocking(False)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=_BUFFER_BYTES)
        return self._address

    def close(self) -> None:
        """Let nobody in any more, and turn out who is in."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._keep(task)
        room = asyncio.Semaphore(_AT_ONCE)
        try:
            async with asyncio.timeout(_KNOCK_S):
                shown = await reader.readexactly(_SECRET_BYTES)
            if not (_is_own(writer.get_extra_info("socket")) and hmac.compare_digest(shown, self._address.enters)):
                _log.warning("door_refused")
                return
            writer.write(self._address.opens)
            while True:
                size, number = _HEAD.unpack(await reader.readexactly(_HEAD.size))
                if size > LARGEST_BYTES:
                    _log.error("door_misused", bytes=size)
                    return
                content = await reader.readexactly(size)
                await room.acquire()
                self._keep(asyncio.create_task(self._call(number, content, writer, room)))
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass  # the other side has gone, or never showed who it is
        finally:
            writer.transport.abort()

    async def _call(self, number: int, content: bytes, writer: asyncio.StreamWriter, room: asyncio.Semaphore) -> None:
        try:
            answer = pickle.dumps(await self._answer(content), protocol=5)
        except Exception:  # noqa: BLE001 - whatever it was, it comes again through Ray, which tells who called
            _log.exception("door_call_raised")
            answer = b""
        finally:
            room.release()
        if not writer.is_closing():
            writer.write(_HEAD.pack(len(answer), number) + answer)

    def _keep(self, task: "asyncio.Task[None]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Door:
    """The publisher's side of one connection. Its task ends with the connection, or the connection with it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._number = 0
        self.is_open = True
        self._task = _kept(asyncio.create_task(self._listen()))
        # Not at the end of the task itself: it may be cancelled, by the end of its loop, before it has begun.
        self._task.add_done_callback(lambda _: self.close())

    async def call(self, content: bytes) -> Any:
        """What the owner answers.

        Raises:
            ConnectionError: it is not known what became of the call, or the owner could not answer.
        """
        if not self.is_open or len(content) > LARGEST_BYTES:
            raise ConnectionError("not by this way")
        self._number = number = self._number + 1
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(_HEAD.pack(len(content), number) + content)
            answer = await waiting
        finally:
            del self._waiting[number]
        if not answer:
            raise ConnectionError("the owner could not answer")
        return pickle.loads(answer)  # noqa: S301 - comes from a process of our own user

    def close(self) -> None:
        """Let it be; calls under way end with a ``ConnectionError``."""
        self._task.cancel()
        self.is_open = False
        self._writer.transport.abort()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("the owner has gone"))

    async def _listen(self) -> None:
        try:
            while True:
                size, number = _HEAD.unpack(await self._reader.readexactly(_HEAD.size))
                answer = await self._reader.readexactly(size)
                waiting = self._waiting.get(number)  # nobody, if it came too late
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # whoever waits is told when the door closes


class Doors:
    """The doors of all owners, looked for in the background as they are asked for.

    Args:
        ask: asks an owner, through Ray, for its door.
    """

    def __init__(self, ask: Callable[[str], Awaitable[Address]]) -> None:
        self._ask = ask
        self._doors: dict[str, Door] = {}
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._not_before: dict[str, float] = {}

    def of(self, owner: str) -> Door | None:
        """An owner's door; None while none is known."""
        door = self._doors.get(owner)
        if door is not None and door.is_open:
            return door
        loop = asyncio.get_running_loop()
        if owner not in self._looks and loop.time() >= self._not_before.get(owner, -inf):
            self._looks[owner] = _kept(loop.create_task(self._look(owner)))
        return None

    def leave(self, owner: str) -> None:
        """Whoever is behind the door may not be the owner any more: Ray knows who is."""
        door = self._doors.pop(owner, None)
        if door is not None:
            door.close()

    async def _look(self, owner: str) -> None:
        again_s = _AGAIN_S
        try:
            address = await self._ask(owner)
            door = await _enter(address) if address.name else None
            if door is None:
                again_s = _SELDOM_S
            else:
                self._doors[owner] = door
        except OSError as error:
            _log.info("door_not_entered", owner=owner, error=type(error).__name__)
        finally:
            self._not_before[owner] = asyncio.get_running_loop().time() + again_s
            del self._looks[owner]


async def _enter(address: Address) -> Door | None:
    """Enter by a door; None where there is none of that name on this machine, or another's."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        connection.connect(f"\0{address.name}")
        mine = _is_own(connection)
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=_BUFFER_BYTES)
    except ConnectionRefusedError:
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    try:
        if mine:
            writer.write(address.enters)
            async with asyncio.timeout(_KNOCK_S):
                shown = await reader.readexactly(_SECRET_BYTES)
            if hmac.compare_digest(shown, address.opens):
                return Door(reader, writer)
        _log.error("door_of_another")
    except asyncio.IncompleteReadError:  # it has turned us away, or has just gone
        pass
    except BaseException:
        writer.transport.abort()
        raise
    writer.transport.abort()
    return None


def _kept(task: "asyncio.Task[None]") -> "asyncio.Task[None]":
    """Until it has ended: an event loop alone does not keep a task, nor the connection that it waits for."""
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    return task


def _is_own(connection: Any) -> bool:
    """Whether the other side is a process of the same user."""
    _, user, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return bool(user == os.geteuid())
