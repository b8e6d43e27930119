"""Ports: free ones for what nobody has to know, and who holds the one that was asked for."""

import errno
import random
import socket
from collections.abc import Collection, Mapping
from itertools import combinations, cycle, islice
from typing import Final

import psutil

from cluster.errors import AddressError, PortTakenError
from config.settings import SettingsError

HTTP_HOST: Final = "SPAZA_HTTP__HOST"
_LOOPBACK = "127.0.0.1"
# Where blocks begin: away from the round numbers that people choose, and from what the system gives out.
_BLOCKS = range(20_030, 32_000, 100)
_LONGEST_BLOCK = 64
# Single ports lie between the blocks. Not from the range that the system gives out: between the choice and the use,
# which may be half a minute, any connection that somebody opens could get one of those for its own end.
_SINGLES = [port for first in _BLOCKS for port in range(first - 29, first)]
# By turns, so that a process that asks again is not given what it has been given and does not use yet. Not by the
# common generator of chance, which tests seed.
_next_single = cycle(random.SystemRandom().sample(_SINGLES, len(_SINGLES)))


def free_port() -> int:
    """A port that is free now and that the system gives nobody by itself."""
    return free_ports(1)[0]


def free_ports(count: int, *, besides: Collection[int] = ()) -> list[int]:
    """So many different free ports. They are free now, not reserved.

    Args:
        count: at most a hundred.
        besides: ports that somebody will use who does not listen there yet.

    Raises:
        OSError: too few were found.
    """
    once = islice(_next_single, len(_SINGLES))
    found = list(islice((port for port in once if port not in besides and _is_free(port)), count))
    if len(found) < count:
        raise OSError(f"no {count} free ports were found from {_SINGLES[0]} to {_SINGLES[-1]}")
    return found


def refuse_taken(port: int, *, purpose: str, setting: str, host: str = _LOOPBACK) -> None:
    """Make sure that we can listen on a port.

    Raises:
        PortTakenError: somebody does; names the process where the system tells.
        AddressError: the host is none of this machine's, or the port is not for us.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise AddressError(host, port, purpose, HTTP_HOST, error.strerror or str(error)) from None
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        # As servers do; connections of an earlier run that still close are no hindrance.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(address)
        except OSError as error:
            reason = error.strerror or str(error)
            if error.errno == errno.EADDRINUSE:
                raise PortTakenError(port, purpose, setting, holder_of(port) or f"another program ({reason})") from None
            at_fault = setting if error.errno in {errno.EACCES, errno.EPERM} else HTTP_HOST
            raise AddressError(host, port, purpose, at_fault, reason) from None


def refuse_same(ports: Mapping[str, int]) -> None:
    """Make sure that settings name different ports.

    Args:
        ports: by the setting that names them.

    Raises:
        SettingsError: two are the same.
    """
    faults = [
        f"{one} and {other} are both {ports[one]}; choose another port with one of them"
        for one, other in combinations(ports, 2)
        if ports[one] == ports[other]
    ]
    if faults:
        raise SettingsError(tuple(faults))


def reached_at(host: str) -> str:
    """Where what listens on a host is reached from this machine, as it stands in a URL."""
    if host in {"", "*", "0.0.0.0", "::"}:  # noqa: S104 - not bound here
        return _LOOPBACK
    return f"[{host}]" if ":" in host else host


def holder_of(port: int) -> str | None:
    """The process that listens on a port, as ``name (pid 123)``; None where the system does not tell."""
    for pid in psutil.pids():
        try:
            if listens(pid, port):
                return f"{psutil.Process(pid).name()} (pid {pid})"
        except psutil.Error:
            continue
    return None


def listens(pid: int, port: int) -> bool:
    """Whether a process listens on a port, as far as the system tells."""
    try:
        connections = psutil.Process(pid).net_connections(kind="inet")
    except psutil.Error:
        return False
    return any(one.status == psutil.CONN_LISTEN and tuple(one.laddr)[1:2] == (port,) for one in connections)


def free_blocks(number: int, count: int, *, besides: Collection[int] = ()) -> list[int]:
    """The first port of each of some different blocks of so many free ports in a row, at most 64.

    Args:
        number: of blocks.
        count: of the ports of each.
        besides: as above.

    Raises:
        OSError: too few were found.
    """
    assert count <= _LONGEST_BLOCK
    found: list[int] = []
    for first in random.sample(_BLOCKS, len(_BLOCKS)):
        if all(port not in besides and _is_free(port) for port in range(first, first + count)):
            found.append(first)
        if len(found) == number:
            return found
    raise OSError(f"no {number} times {count} free ports in a row were found from {_BLOCKS[0]} to {_BLOCKS[-1]}")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        try:
            trial.bind(("", port))
        except OSError:
            return False
    return True
