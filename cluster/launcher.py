"""Becomes another program that cannot outlive who started it. Standard library only; run by path, not imported.

``python -I -S launcher.py '<json>'`` leaves root where asked to, asks the kernel for a signal when the parent
dies, and executes the program in its own place, so that the process id stays the one the parent knows.
"""

import ctypes
import json
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def leave_root(uid: int, gid: int, *, reach: bool) -> None:
    """Become the user, for good.

    Args:
        uid: the user to become.
        gid: its only group.
        reach: keep the one capability to pass through folders that this user may not enter, such as a data folder
            below ``/root``. The alternative would be to open those folders to everybody.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if reach:
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if reach:
        # Reading suffices; containers often withhold it and grant the wider one.
        for capability in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE):
            if _keep(libc, capability):
                break


def _keep(libc: ctypes.CDLL, capability: int) -> bool:
    bit = 1 << capability
    header = _Header(_CAPABILITY_VERSION_3, 0)
    data = (_Data * 2)(_Data(bit, bit, bit), _Data(0, 0, 0))
    if libc.capset(ctypes.byref(header), ctypes.byref(data)) != 0:
        return False
    return bool(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0) == 0)


def die_with_parent(parent: int, death_signal: int) -> None:
    """Have the kernel send the signal when the parent ends, however it ends. Linux only; elsewhere nothing."""
    if not sys.platform.startswith("linux"):
        return
    # After the change of user, which clears it.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Read the order from the command line and carry it out."""
    order = json.loads(sys.argv[1])
    os.umask(0o077)
    if order["uid"] is not None:
        leave_root(order["uid"], order["gid"], reach=order["reach"])
    if order["death_signal"] is not None:
        die_with_parent(order["parent"], order["death_signal"])
    os.execv(order["argv"][0], order["argv"])  # noqa: S606 - becoming the program is what this is for


if __name__ == "__main__":
    main()
