"""``spaza status``: asks the supervisor of the data folder's instance. ``status_text.py`` shows what it says."""

from pathlib import Path
from typing import Any

from cluster.instance import is_claimed, read_record
from cluster.status_socket import fetch_status

_LIMIT_S = 12.0


async def ask(data_dir: Path) -> dict[str, Any]:
    """The instance's status: ``ready``, ``parts``, ``figures`` and ``ports``, also where none runs."""
    if not is_claimed(data_dir):
        return _none("stopped", f"nothing runs in {data_dir}; start it with: spaza up")
    record = read_record(data_dir)
    if record is None:
        return _none("starting", f"an instance has just begun to start in {data_dir}")
    try:
        return {**await fetch_status(record.status_socket, timeout_s=_LIMIT_S), "ports": record.ports}
    except (OSError, TimeoutError, ValueError) as error:
        return _none("starting", f"process {record.pid} does not answer ({type(error).__name__}); it starts or ends")


def _none(state: str, detail: str) -> dict[str, Any]:
    parts = [{"name": "Spaza", "state": state, "detail": detail}]
    return {"ready": False, "parts": parts, "figures": {}, "ports": {}}
