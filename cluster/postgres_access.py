"""As whom and where the embedded servers are reached."""

from pathlib import Path
from typing import Final

SUPERUSER: Final = "spaza"


def password_of(data_dir: Path) -> str:
    """The superuser's, of the servers of a data folder."""
    return (data_dir / "postgres.password").read_text(encoding="ascii")


def socket_dsn(data_dir: Path, database: str, hosts: str, ports: str) -> str:
    """The superuser's DSN of servers on Unix sockets.

    Args:
        data_dir: where the password is.
        database: empty names none.
        hosts: the sockets' folders, with commas between.
        ports: as many.
    """
    return f"postgresql://{SUPERUSER}:{password_of(data_dir)}@/{database}?host={hosts}&port={ports}"
