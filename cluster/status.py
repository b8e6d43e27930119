"""``spaza status``: asks the supervisor of the data folder's instance, and shows what it says."""

from pathlib import Path
from typing import Any

from rich.console import Console

from cluster.instance import is_claimed, read_record
from cluster.status_socket import fetch_status

_LIMIT_S = 12.0


async def ask(data_dir: Path) -> dict[str, Any]:
    """The instance's status: ``ready``, ``parts`` and ``figures``, also where none runs."""
    if not is_claimed(data_dir):
        return _none("stopped", f"nothing runs in {data_dir}; start it with: spaza up")
    record = read_record(data_dir)
    if record is None:
        return _none("starting", f"an instance has just begun to start in {data_dir}")
    try:
        return await fetch_status(record.status_socket, timeout_s=_LIMIT_S)
    except (OSError, TimeoutError, ValueError) as error:
        return _none("starting", f"process {record.pid} does not answer ({type(error).__name__}); it starts or ends")


def show(document: dict[str, Any], console: Console | None = None) -> None:
    """For a person; what is kept for each partition is in the JSON alone."""
    console = Console(highlight=False, soft_wrap=True) if console is None else console
    console.print("Ready" if document["ready"] else "Not ready", style="bold")
    for part in document["parts"]:
        console.print(f"  {part['name']:<20}{part['state']:<12}{part['detail']}", markup=False)
    for name, value in _flat(document["figures"]):
        console.print(f"  {name:<48}  {value}", markup=False)


def _none(state: str, detail: str) -> dict[str, Any]:
    return {"ready": False, "parts": [{"name": "Spaza", "state": state, "detail": detail}], "figures": {}}


def _flat(figures: dict[str, Any], above: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in figures.items():
        if name == "partitions":
            continue
        if isinstance(value, dict):
            found += _flat(value, f"{above}{name}.")
        else:
            found.append((f"{above}{name}", value))
    return found
