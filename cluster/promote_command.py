"""``spaza cluster promote``: has the running instance make a standby of its PostgreSQL the primary."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.errors import NotRunningError
from cluster.instance import chosen_data_dir, is_claimed, read_record
from cluster.plain_lines import say
from cluster.status_socket import give_order

_DONE, _REFUSED = 0, 1
# Above all that a promotion waits for.
_LIMIT_S = 120.0


def add_cluster_commands(commands: Any) -> None:
    """Add ``cluster`` to the subparsers of ``spaza``."""
    about = "the servers below an instance"
    within = commands.add_parser("cluster", help=about, description=f"{about[0].upper()}{about[1:]}.")
    of_cluster = within.add_subparsers(required=True, metavar="COMMAND")
    about = "make the standby of the embedded PostgreSQL that has most the primary"
    promote = of_cluster.add_parser("promote", help=about, description=f"{about[0].upper()}{about[1:]}.")
    switchover = "though the primary is well: it is ended in good order first, and nothing is lost"
    promote.add_argument("--switchover", action="store_true", help=switchover)
    force = "that, and though a standby cannot say how far it is: commits that it alone has are lost"
    promote.add_argument("--force", action="store_true", help=force)
    promote.add_argument("--json", action="store_true", help="as JSON")
    promote.set_defaults(command=_promote)


def _promote(given: argparse.Namespace) -> int:
    done, said = asyncio.run(
        _order(chosen_data_dir(os.environ), switchover=given.switchover or given.force, force=given.force)
    )
    if given.json:
        print(json.dumps(said if done else {"promoted": None, **said}, indent=1))
    elif done:
        for line in in_words(said):
            say(line, sys.stdout)
    if not done:
        say(said["message"])
    return _DONE if done else _REFUSED


async def _order(data_dir: Path, *, switchover: bool, force: bool) -> tuple[bool, dict[str, Any]]:
    record = read_record(data_dir) if is_claimed(data_dir) else None
    if record is None:
        raise NotRunningError(data_dir, "nothing runs there, and servers that do not run cannot be promoted")
    try:
        order = f"/promote?switchover={int(switchover)}&force={int(force)}"
        return await give_order(record.status_socket, order, timeout_s=_LIMIT_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise NotRunningError(data_dir, f"process {record.pid} does not answer ({type(error).__name__})") from error


def in_words(done: Mapping[str, Any]) -> list[str]:
    """A promotion for a person."""
    lines = [f"{done['promoted']} is the primary now, after {done['seconds']:.1f} s (timeline {done['timeline']})."]
    if done["former"] != done["promoted"]:
        lines.append(f"{done['former']} was; it comes back as a standby, see `spaza status`.")
    for one in done["standbys"]:
        doubt = f" ({one['reason']})" if one["reason"] else ""
        had = f"had {one['received_lsn']}{doubt}" if one["received_lsn"] else f"could not be asked: {one['reason']}"
        lines.append(f"  {one['name']:<16}{had}{', follows' if one['name'] in done['following'] else ''}")
    if not done["following"]:
        lines.append("No standby follows it yet; until one does, commits wait.")
    return lines
