"""Makes a server's files those of a standby: by a copy of the primary's, or by turning back what it had alone."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from cluster.errors import ServerStartError
from cluster.postgres_access import SUPERUSER
from cluster.postgres_files import binary, give, run_program
from cluster.process import RunAs

STANDBY = "standby.signal"
# Of a large database on a slow disk.
_COPY_LIMIT_S, _REWIND_LIMIT_S = 3_600.0, 600.0

# One call syncs the file system, instead of one for each of ten thousand files.
_SYNC = ("--sync-method=syncfs",) if sys.platform.startswith("linux") else ()


class Source:
    """The primary, for the programs that read from it. Names no password: that stands in ``passfile``."""

    def __init__(self, socket_dir: Path, port: int, passfile: Path) -> None:
        self._socket_dir, self._port, self._passfile = socket_dir, port, passfile

    def conninfo(self, name: str, database: str = "postgres") -> str:
        """In libpq's words.

        Args:
            name: who comes, as its ``application_name``.
            database: that is connected to.
        """
        parts = {
            "host": str(self._socket_dir),
            "port": str(self._port),
            "user": SUPERUSER,
            "dbname": database,
            "passfile": str(self._passfile),
            "application_name": name,
            "connect_timeout": "5",
        }
        return " ".join(f"{key}={_quoted(value)}" for key, value in parts.items())


def is_made(folder: Path) -> bool:
    """Whether there are a server's files."""
    return (folder / "PG_VERSION").exists()


def is_standby(folder: Path) -> bool:
    """Whether a server with these files starts as a standby."""
    return (folder / STANDBY).exists()


def copy(source: Source, folder: Path, slot: str, run_as: RunAs | None) -> None:
    """Replace a server's files by a copy of the primary's, which is made aside. Blocks.

    Raises:
        ServerStartError: what pg_basebackup said; what was there stays.
    """
    partial, former = folder.with_name(f"{folder.name}.partial"), folder.with_name(f"{folder.name}.former")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    give(partial, run_as)
    argv = [
        binary("pg_basebackup"), "-D", str(partial.resolve()), "-d", source.conninfo("spaza copy"), "--slot", slot,
        "-X", "stream", "-c", "fast", "--no-password", "--no-manifest", *_SYNC,
    ]  # fmt: skip
    run_program(argv, run_as, limit_s=_COPY_LIMIT_S)
    mark_standby(partial, run_as)
    shutil.rmtree(former, ignore_errors=True)
    if folder.exists():
        folder.rename(former)
    partial.rename(folder)
    shutil.rmtree(former, ignore_errors=True)


def rewind(source: Source, folder: Path, config: Path, run_as: RunAs | None) -> None:
    """Turn back what a former primary has that the present one has not, and make it a standby. Blocks.

    Raises:
        ServerStartError: what pg_rewind said; the files may be of no use then, until they are replaced.
    """
    argv = [
        binary("pg_rewind"), "-D", str(folder.resolve()), "--source-server", source.conninfo("spaza rewind"),
        f"--config-file={config.resolve()}", *_SYNC,
    ]  # fmt: skip
    run_program(argv, run_as, limit_s=_REWIND_LIMIT_S)
    mark_standby(folder, run_as)


def mark_standby(folder: Path, run_as: RunAs | None) -> None:
    """Have a server with these files start as a standby."""
    path = folder / STANDBY
    path.touch(mode=0o600)
    give(path, run_as)


def write_passfile(path: Path, password: str, run_as: RunAs | None) -> None:
    """The superuser's password where libpq looks for it, for the eyes of PostgreSQL's user alone."""
    write_owned(path, f"*:*:*:{SUPERUSER}:{password}\n", run_as)


def write_owned(path: Path, text: str, run_as: RunAs | None) -> None:
    """Replace a file that PostgreSQL reads and nobody else does."""
    beside = path.with_name(f"{path.name}.new")
    beside.touch(mode=0o600)
    beside.write_text(text, encoding="utf-8")
    give(beside, run_as)
    beside.replace(path)


def config_text(settings_file: Path, source: Source | None, name: str, standbys: Sequence[str]) -> str:
    """The settings of a server of a group, beyond those that all embedded servers have.

    Args:
        settings_file: which it goes on reading.
        source: its primary; None for the primary itself.
        name: of it, as its primary calls it.
        standbys: the names of all others. They are set on a standby too, so that from the moment of its promotion
            commits wait for one of them.
    """
    settings = {
        "hot_standby_feedback": "on",
        "max_standby_streaming_delay": "5s",
        # After a promotion the other standby comes to the new primary at once, not in 5 s; commits wait for it.
        "wal_retrieve_retry_interval": "200ms",
        "wal_keep_size": "256MB",
        "synchronous_standby_names": f"ANY 1 ({', '.join(standbys)})" if standbys else "",
        "primary_conninfo": "" if source is None else source.conninfo(name),
        "primary_slot_name": "" if source is None else name,
    }
    lines = [f"include {_quoted_setting(str(settings_file.resolve()))}"]
    lines += [f"{key} = {_quoted_setting(value)}" for key, value in settings.items()]
    return "\n".join(lines) + "\n"


def refuse_missing(folder: Path, name: str) -> None:
    """Make sure that a primary's files are there.

    Raises:
        ServerStartError: they are not.
    """
    if not is_made(folder):
        raise ServerStartError(name, f"it is the primary, and its files are missing in {folder}")


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _quoted_setting(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
