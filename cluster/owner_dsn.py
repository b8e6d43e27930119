"""Where the databases are, for a command that works on them as their owner: given, or of the instance that runs."""

from pathlib import Path

from pydantic import SecretStr

from cluster.errors import NoDatabaseError
from cluster.instance import is_claimed
from cluster.postgres_access import socket_dsn
from cluster.postgres_traces import READY, pid_file
from cluster.replicas.roles import Roles, folder_name, read_roles

# Lines of postmaster.pid.
_PORT, _SOCKET_DIR, _STATE = 3, 4, 7


def owner_dsn(data_dir: Path, given: SecretStr | None) -> str:
    """The owner's DSN: the one of the settings, else that of the embedded server of the instance on the data folder.

    Raises:
        NoDatabaseError: none is given, and no embedded server runs there.
    """
    if given is not None:
        return given.get_secret_value()
    if not is_claimed(data_dir):
        raise NoDatabaseError(data_dir, f"no instance runs in {data_dir}")
    roles = read_roles(data_dir) or Roles()
    found = [pid_file(data_dir / folder_name(number)) for number in roles.members]
    running = [lines for lines in found if len(lines) > _STATE and lines[_STATE] in READY]
    if not any(lines[_STATE] == "ready" for lines in running):
        reason = f"the instance that runs in {data_dir} has no PostgreSQL of its own, or it is starting or ending"
        raise NoDatabaseError(data_dir, reason)
    hosts, ports = (",".join(lines[at] for lines in running) for at in (_SOCKET_DIR, _PORT))
    return socket_dsn(data_dir, "", hosts, ports)
