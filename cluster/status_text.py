"""The status for a person: what runs, and the few figures that say how it goes. All of them are in the JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from cluster.durations import duration
from cluster.mailbox_text import remarks
from cluster.node_environment import metrics_address
from cluster.plain_lines import print_lines

_LABEL = 26
_COLUMNS = ("Waiting", "In flight", "Oldest", "In/s", "Out/s", "Delivered", "Dead letters")

_SERVER_COLUMNS = ("Role", "Received", "Replayed", "Behind", "Lag")


def show(document: Mapping[str, Any], console: Console | None = None) -> None:
    """Print a status document."""
    console = Console(highlight=False, soft_wrap=True) if console is None else console
    console.print("Ready" if document["ready"] else "Not ready", style="bold")
    print_lines(lines(document), console)


def lines(document: Mapping[str, Any]) -> list[str]:
    """Everything below the first line."""
    figures = document["figures"]
    return [
        *(f"  {part['name']:<20}{part['state']:<12}{part['detail']}".rstrip() for part in document["parts"]),
        *_general(figures, document["ports"]),
        *_servers(figures.get("postgres", {}).get("servers", ())),
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
    limits = figures.get("rate_limits")
    if limits and limits["checks"]:
        passed = f"{limits['admitted']:,} passed, {limits['refused']:,} refused"
        rows.append(("Rate limits", f"{passed}, {limits['tenants']:,} tenants in this hour"))
    return ["", *(f"  {name:<{_LABEL}}{value}" for name, value in rows)] if rows else []


def _servers(servers: Sequence[Mapping[str, Any]]) -> list[str]:
    if not servers:
        return []
    head = f"  {'PostgreSQL':<{_LABEL}}" + "".join(f"{name:>14}" for name in _SERVER_COLUMNS)
    return ["", head, *(_server(one) for one in servers)]


def _server(one: Mapping[str, Any]) -> str:
    behind = "-" if one["lag_bytes"] is None else f"{one['lag_bytes']:,} B"
    lag = "-" if one["lag_s"] is None else duration(one["lag_s"])
    cells = (one["role"], one["received_lsn"] or "-", one["replayed_lsn"] or "-", behind, lag)
    remark = "   does not follow" if one["role"] == "standby" and one["streaming"] is False else ""
    return f"  {one['name']:<{_LABEL}}" + "".join(f"{cell:>14}" for cell in cells) + remark


def _queues(mailboxes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not mailboxes:
        return []
    head = f"  {'Queue':<{_LABEL}}" + "".join(f"{name:>14}" for name in _COLUMNS)
    return ["", head, *(_queue(name, figures) for name, figures in mailboxes.items())]


def _queue(name: str, figures: Mapping[str, Any]) -> str:
    if "waiting" not in figures:
        return f"  {name:<{_LABEL}}{figures['state']}"
    remark, uncounted = ", ".join(remarks(figures)), "" if figures["counted"] else "+"
    age_s = figures["oldest_age_s"]
    cells = (
        f"{figures['waiting']:,}{uncounted}",
        f"{figures['in_flight']:,}",
        "-" if age_s is None else duration(age_s),
        f"{figures['in_per_s']:,.1f}",
        f"{figures['out_per_s']:,.1f}",
        f"{figures['counters'].get('delivered', 0):,}",
        f"{figures['dead_letters']:,}{uncounted}",
    )
    return (f"  {name:<{_LABEL}}" + "".join(f"{cell:>14}" for cell in cells) + f"   {remark}").rstrip()
