"""The data folder and who runs on it: one instance at a time, known by a lock that ends with its process."""

import contextlib
import fcntl
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from cluster.errors import DataFolderError, DiskFullError, InstanceRunningError
from kernel.identifiers import new_id

WANTED_BYTES = 300_000_000
# The first start makes 32 databases and the first segments of PostgreSQL's log.
WANTED_FIRST_BYTES = 700_000_000
_RUN_PREFIX = "spaza-"
# The longest socket below it is Ray's, which adds some 80 bytes of the 107 that there are.
_LONGEST_TEMPORARY_PATH = 20


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """What ``instance.json`` tells others of the running instance.

    Attributes:
        pid: of the supervisor.
        run_dir: sockets and configuration of this run; gone after it.
        ports: by purpose.
        api: where it is reached from this machine.
    """

    instance_id: str
    pid: int
    run_dir: str
    started_at: float
    ports: dict[str, int] = field(default_factory=dict)
    api: str = ""

    @property
    def status_socket(self) -> Path:
        """Where the supervisor answers."""
        return Path(self.run_dir) / "status.sock"


class Instance:
    """A claimed data folder. The claim lasts until ``release``, or until this process ends, however it ends."""

    def __init__(self, data_dir: Path, instance_id: str, run_dir: Path, lock: int) -> None:
        self.data_dir, self.instance_id, self.run_dir = data_dir, instance_id, run_dir
        self._lock = lock

    @classmethod
    def claim(cls, data_dir: Path) -> Self:
        """Make the folder if it is not there, and take it.

        Raises:
            InstanceRunningError: another instance has it.
            DataFolderError: it cannot be made or written.
            DiskFullError: too little room.
        """
        data_dir = data_dir.expanduser().absolute()
        try:
            if not data_dir.exists():
                # Ray makes folders that everybody may write. As root, PostgreSQL passes through as another user.
                data_dir.mkdir(parents=True, mode=0o711 if os.geteuid() == 0 else 0o700)
            lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataFolderError(data_dir, error.strerror or str(error)) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            running = read_record(data_dir)
            raise InstanceRunningError(data_dir, None if running is None else running.pid) from None
        try:
            refuse_full(data_dir, WANTED_BYTES if (data_dir / "instance.id").exists() else WANTED_FIRST_BYTES)
            instance_id = _kept(data_dir / "instance.id", new_id)
            (data_dir / "logs").mkdir(exist_ok=True)
            _remove_earlier_run(data_dir)
            run_dir = _make_run_dir()
        except OSError as error:
            os.close(lock)
            raise DataFolderError(data_dir, error.strerror or str(error)) from error
        except DiskFullError:
            os.close(lock)
            raise
        return cls(data_dir, instance_id, run_dir, lock)

    def record(self, ports: dict[str, int], *, api: str = "") -> InstanceRecord:
        """Write down that this process runs here."""
        record = InstanceRecord(self.instance_id, os.getpid(), str(self.run_dir), time.time(), ports, api)
        write_whole(self.data_dir / "instance.json", json.dumps(asdict(record), indent=1))
        return record

    def secret(self, name: str, make: Any) -> str:
        """A secret that is made once and kept in the folder, for the owner's eyes alone."""
        return _kept(self.data_dir / name, make)

    def release(self) -> None:
        """Give the folder back and clear what only a running instance needs."""
        (self.data_dir / "instance.json").unlink(missing_ok=True)
        shutil.rmtree(self.run_dir, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self._lock)


def read_record(data_dir: Path) -> InstanceRecord | None:
    """What the folder says of its instance, running or dead; None where it says nothing."""
    try:
        return InstanceRecord(**json.loads((data_dir / "instance.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def chosen_data_dir(environment: Mapping[str, str]) -> Path:
    """The data folder that a command is about.

    Raises:
        DataFolderError: its name is empty.
    """
    named = environment.get("SPAZA_DATA_DIR", ".spaza")
    if not named.strip():
        raise DataFolderError(Path(named), "SPAZA_DATA_DIR is empty")
    return Path(named).expanduser().absolute()


def is_claimed(data_dir: Path) -> bool:
    """Whether an instance runs on the folder now."""
    try:
        lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def refuse_full(path: Path, wanted_bytes: int) -> None:
    """Make sure that there is room.

    Raises:
        DiskFullError: there is not.
    """
    free = shutil.disk_usage(path).free
    if free < wanted_bytes:
        raise DiskFullError(path, free, wanted_bytes)


def write_whole(path: Path, text: str) -> None:
    """Replace a file, so that a reader sees the old text or the new, whatever happens meanwhile."""
    beside = path.with_name(f"{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def sync(path: Path) -> None:
    """Have what is written in a file on the disk; or the names in a folder.

    Raises:
        OSError: it is not, or not for sure.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _kept(path: Path, make: Any) -> str:
    if not path.exists():
        write_whole(path, make())
    return path.read_text(encoding="utf-8").strip()


def _make_run_dir() -> Path:
    base = tempfile.gettempdir()
    if len(base) > _LONGEST_TEMPORARY_PATH:
        base = "/tmp"  # noqa: S108 - mkdtemp makes it safe
    run_dir = Path(tempfile.mkdtemp(prefix=_RUN_PREFIX, dir=base))
    if os.geteuid() == 0:
        # PostgreSQL runs as another user then, and passes through to its socket.
        run_dir.chmod(0o711)
    return run_dir


def _remove_earlier_run(data_dir: Path) -> None:
    earlier = read_record(data_dir)
    if earlier is None:
        return
    run_dir = Path(earlier.run_dir)
    with contextlib.suppress(OSError):
        about = run_dir.lstat()
        if run_dir.name.startswith(_RUN_PREFIX) and stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid():
            shutil.rmtree(run_dir, ignore_errors=True)
