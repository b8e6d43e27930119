"""Ray's sessions: kept in the data folder, reached by a short path, and not for ever."""

import contextlib
import shutil
from pathlib import Path

_KEPT = 3


def keep_ray_sessions(data_dir: Path, run_dir: Path) -> None:
    """Give Ray ``<run_dir>/ray``, which leads into the data folder, and drop all but the last sessions.

    Its sockets need a short path, and its logs are to outlive the run.
    """
    sessions = data_dir / "ray"
    sessions.mkdir(parents=True, exist_ok=True)
    old = sorted(path for path in sessions.glob("session_*") if path.is_dir() and not path.is_symlink())
    for path in old[: max(0, len(old) - _KEPT + 1)]:
        shutil.rmtree(path, ignore_errors=True)
    (run_dir / "ray").symlink_to(sessions)


def link_ray_logs(data_dir: Path, session: str) -> None:
    """Have ``<data_dir>/logs/ray`` lead to the logs of a session. Ray's own link goes by the short path, which ends."""
    logs = data_dir / "logs" / "ray"
    with contextlib.suppress(FileNotFoundError):
        logs.unlink()
    logs.symlink_to(Path("..") / "ray" / session / "logs")
