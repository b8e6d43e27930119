"""Where the databases are, for a command that works on them as their owner: given, or of the instance that runs."""

from pathlib import Path

from pydantic import SecretStr

from cluster.errors import NoDatabaseError
from cluster.instance import is_claimed
from cluster.postgres import SUPERUSER

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
    try:
        lines = [line.strip() for line in (data_dir / "postgres" / "postmaster.pid").read_text().splitlines()]
        password = (data_dir / "postgres.password").read_text(encoding="ascii").strip()
    except OSError:
        lines, password = [], ""
    if len(lines) <= _STATE or lines[_STATE] != "ready":
        reason = f"the instance that runs in {data_dir} has no PostgreSQL of its own, or it is starting or ending"
        raise NoDatabaseError(data_dir, reason)
    return f"postgresql://{SUPERUSER}:{password}@/?host={lines[_SOCKET_DIR]}&port={lines[_PORT]}"
