"""Which of the embedded servers is the primary: written down before it is made true, and the fence of the others.

A server is launched as the primary only if the file says that it is, and it is not fenced. So a primary that was
replaced comes back as a standby or not at all, whoever starts it and whenever.
"""

import json
from pathlib import Path
from typing import NamedTuple

from cluster.errors import DataFolderError
from cluster.instance import sync, write_whole

FILE = "postgres.roles.json"
REPLICAS_AT_MOST = 4


class Roles(NamedTuple):
    """Who is what, by number; the first server that was made is number 1.

    Attributes:
        primary: the one that takes writes.
        replicas: how many standbys it has.
        fenced: that the primary is not to be launched, for another one is being chosen.
        strayed: servers that have not followed the primary since it was promoted. They may have what it has not.
    """

    primary: int = 1
    replicas: int = 0
    fenced: bool = False
    strayed: tuple[int, ...] = ()

    @property
    def members(self) -> tuple[int, ...]:
        """The numbers of all servers, that of the primary among them."""
        others = [number for number in range(1, REPLICAS_AT_MOST + 2) if number != self.primary]
        return tuple(sorted([self.primary, *others[: self.replicas]]))

    @property
    def standbys(self) -> tuple[int, ...]:
        """Those that are not the primary."""
        return tuple(number for number in self.members if number != self.primary)


def read_roles(data_dir: Path) -> Roles | None:
    """What the folder says; None where it says nothing, and there is one server.

    Raises:
        DataFolderError: it cannot be read; to guess who the primary is might lose data.
    """
    path = data_dir / FILE
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        roles = Roles(int(said["primary"]), int(said["replicas"]), bool(said["fenced"]), tuple(said["strayed"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = f"{path} does not say which PostgreSQL is the primary ({type(error).__name__})"
        raise DataFolderError(data_dir, reason) from error
    if not 1 <= roles.primary <= REPLICAS_AT_MOST + 1 or not 0 <= roles.replicas <= REPLICAS_AT_MOST:
        raise DataFolderError(data_dir, f"{path} names servers that there are not")
    return roles


def wanted_roles(kept: Roles | None, replicas: int | None) -> Roles | None:
    """The roles with which an instance starts. Pure.

    Args:
        kept: in the data folder.
        replicas: that are asked for; None for as many as there were.

    Returns:
        None where there is one server, and never were more. A standby that was not there the last time has to follow
        before it can be promoted.
    """
    if kept is None:
        if not replicas:
            return None
        alone = Roles()
        return alone._replace(replicas=replicas, strayed=alone._replace(replicas=replicas).standbys)
    if replicas is None:
        return kept
    roles = kept._replace(replicas=replicas)
    strayed = [number for number in roles.standbys if number in kept.strayed or number not in kept.members]
    return roles._replace(strayed=tuple(strayed))


def write_roles(data_dir: Path, roles: Roles) -> None:
    """Write down who is what; whole, and on the disk when it returns.

    Raises:
        DataFolderError: it cannot be written.
    """
    try:
        write_whole(data_dir / FILE, json.dumps(roles._asdict()))
        # The name too, not only what stands under it.
        sync(data_dir)
    except OSError as error:
        raise DataFolderError(data_dir, error.strerror or str(error)) from error


def folder_name(number: int) -> str:
    """The folder of a server's files, below the data folder."""
    return "postgres" if number == 1 else f"postgres-{number}"


def part_name(number: int) -> str:
    """What a server is called where people see it."""
    return "PostgreSQL" if number == 1 else f"PostgreSQL {number}"


def slot_name(number: int) -> str:
    """What a standby is called by its primary: its ``application_name``, and its replication slot."""
    return f"spaza_{number}"
