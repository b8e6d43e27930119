"""The status for a person: what runs, and the few figures that say how it goes. All of them are in the JSON."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from cluster.node_environment import metrics_address

_LABEL = 26
_COLUMNS = ("Waiting", "In flight", "Oldest", "Delivered", "Dead letters")


def show(document: Mapping[str, Any], console: Console | None = None) -> None:
    """Print a status document."""
    console = Console(highlight=False, soft_wrap=True) if console is None else console
    console.print("Ready" if document["ready"] else "Not ready", style="bold")
    for line in lines(document):
        console.print(line, markup=False)


def lines(document: Mapping[str, Any]) -> list[str]:
    """Everything below the first line."""
    figures = document["figures"]
    return [
        *(f"  {part['name']:<20}{part['state']:<12}{part['detail']}".rstrip() for part in document["parts"]),
        *_general(figures, document["ports"]),
        *_queues(figures.get("mailboxes", {})),
    ]


def _general(figures: Mapping[str, Any], ports: Mapping[str, int]) -> list[str]:
    rows = []
    if "metrics" in ports:
        rows.append(("Metrics", metrics_address(ports)))
    if "uptime_s" in figures:
        rows.append(("Up for", duration(figures["uptime_s"])))
    if "disk_free_bytes" in figures:
        rows.append(("Disk free", f"{figures['disk_free_bytes'] / 1e9:,.1f} GB"))
    shards = figures.get("shards")
    if shards:
        units = f"{shards['committed']:,} units committed, {shards['failed']:,} failed"
        rows.append(("Shards", f"{units}, {shards['connections']:,} connections"))
    return ["", *(f"  {name:<{_LABEL}}{value}" for name, value in rows)] if rows else []


def _queues(mailboxes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not mailboxes:
        return []
    head = f"  {'Queue':<{_LABEL}}" + "".join(f"{name:>14}" for name in _COLUMNS)
    return ["", head, *(_queue(name, figures) for name, figures in mailboxes.items())]


def _queue(name: str, figures: Mapping[str, Any]) -> str:
    remark = _remark(figures)
    if "waiting" not in figures:
        return f"  {name:<{_LABEL}}{remark}"
    age_s = figures["oldest_age_s"]
    cells = (
        f"{figures['waiting']:,}",
        f"{figures['in_flight']:,}",
        "-" if age_s is None else duration(age_s),
        f"{figures['counters'].get('delivered', 0):,}",
        f"{figures['dead_letters']:,}",
    )
    return (f"  {name:<{_LABEL}}" + "".join(f"{cell:>14}" for cell in cells) + f"   {remark}").rstrip()


def _remark(figures: Mapping[str, Any]) -> str:
    """What keeps a queue from delivering; empty where nothing does."""
    if figures["state"] != "owning":
        return str(figures["state"])
    if figures["paused"]:
        return "paused"
    return "" if figures["consumer_up"] else "its consumer is away"


def duration(seconds: float) -> str:
    """Seconds in the two largest units that tell something: ``0.3 s``, ``42 s``, ``3 min 20 s``, ``2 d 5 h``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for size, name, part, part_name in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // part} {part_name}"
    return f"{whole} s"
