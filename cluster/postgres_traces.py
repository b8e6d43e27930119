"""What an embedded server leaves in its folders: who it is, and what it said last."""

from pathlib import Path
from typing import Final

# What ``postmaster.pid`` says of a server that takes connections: of a primary, and of a standby.
READY: Final = ("ready", "standby")


def pid_file(cluster_dir: Path) -> list[str]:
    """The lines of ``postmaster.pid``; none where no server runs, or none was ended in good order."""
    try:
        return [line.strip() for line in (cluster_dir / "postmaster.pid").read_text().splitlines()]
    except OSError:
        return []


def newest(folder: Path, *, since: float) -> Path | None:
    """The file of a folder that was written last, if that was after a time."""
    written = [(path.stat().st_mtime, path) for path in folder.glob("*.log")]
    at, path = max(written, default=(0.0, None))
    # A file's time is as coarse as the kernel's clock.
    return path if at >= since - 0.02 else None
