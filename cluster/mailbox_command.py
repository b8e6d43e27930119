"""``spaza mailbox``: what each of its commands asks of the admin API, and what it says."""

import argparse
import os
import sys
from typing import Any

from rich.console import Console

from cluster import mailbox_text
from cluster.admin_client import AdminClient
from cluster.answered import DONE, NOT_DONE, UNCONFIRMED, show
from cluster.instance import chosen_data_dir
from cluster.mailbox_arguments import FILTER
from cluster.plain_lines import say

# Of each queue, to a person.
_SHOWN_TENANTS = 3


def run(given: argparse.Namespace, console: Console | None = None) -> int:
    """Run one command.

    Returns:
        0 when it did what it was asked to; 1 where only a part of it was done, or nothing was found; 2 where it was
        not confirmed.
    """
    console = Console(highlight=False, soft_wrap=True) if console is None else console
    client = AdminClient(chosen_data_dir(os.environ), os.environ)
    return int(_COMMANDS[given.mailbox_command](client, given, console))


def _list(client: AdminClient, given: argparse.Namespace, console: Console) -> int:
    tenants = _SHOWN_TENANTS if given.tenants is None and not given.json else given.tenants
    return show(client.get("", tenants=tenants), given, console, mailbox_text.overview)


def _peek(client: AdminClient, given: argparse.Namespace, console: Console) -> int:
    document = client.get(
        f"/{given.queue}/messages",
        which=given.which,
        limit=given.limit,
        after=given.after,
        body=given.body or None,
        unmasked=given.unmasked or None,
        **_filter(given),
    )
    return show(document, given, console, mailbox_text.messages)


def _trace(client: AdminClient, given: argparse.Namespace, console: Console) -> int:
    way = "order_id" if given.order else "correlation_id" if given.correlation else _way(given.name)
    document = client.get(
        "/trace",
        hours=given.hours,
        phone_number_id=given.number,
        unmasked=given.unmasked or None,
        **{way: given.name},
    )
    show(document, given, console, mailbox_text.trails)
    return DONE if document["messages"] else NOT_DONE


def _pause(client: AdminClient, given: argparse.Namespace, console: Console) -> int:
    return show(client.post(f"/{given.queue}/{given.mailbox_command}"), given, console, mailbox_text.paused)


def _change(client: AdminClient, given: argparse.Namespace, console: Console) -> int:
    path, asked = f"/{given.queue}/{given.mailbox_command}", {**_filter(given), "all": given.all or None}
    if given.mailbox_command == "redrive":
        asked["force"] = given.force or None
    else:
        asked["which"] = given.which
    planned = {**client.post(path, dry_run=True, **asked), "limit": given.limit}
    if given.dry_run:
        return show(planned, given, console, mailbox_text.plan)
    if not given.yes:
        for line in mailbox_text.plan(planned):
            say(line)
        if not _confirmed(given, planned):
            return UNCONFIRMED
    return _in_parts(client, path, asked, given, console)


def _in_parts(
    client: AdminClient, path: str, asked: dict[str, Any], given: argparse.Namespace, console: Console
) -> int:
    """Go on until all is done, for one call has its limits."""
    done: dict[str, Any] = {}
    left: int | None = given.limit
    while True:
        part = client.post(path, limit=left, per_s=given.rate, **asked)
        # What a part leaves the next one meets again.
        left_out = {name: max(done.get(name, 0), part[name]) for name in ("left_in_flight", "left_corrupt")}
        messages = done.get("messages", 0) + part["messages"]
        selected = done.get("selected", part["selected"])
        ids = [*done.get("ids", ()), *part["ids"]][:20]
        done = {**part, **left_out, "messages": messages, "ids": ids, "selected": selected}
        left = None if left is None else left - part["messages"]
        over = part["complete"] or part["trouble"] or left == 0
        if over or not part["messages"]:
            break
        if "began" in part:
            asked["began"] = part["began"]
        if not given.json:
            print(f"{done['messages']:,} so far", file=sys.stderr)
    show(done, given, console, mailbox_text.change)
    return DONE if left == 0 or (done["complete"] and not done["trouble"]) else NOT_DONE


def _actions(client: AdminClient, given: argparse.Namespace, console: Console) -> int:
    return show(client.get("/actions", limit=given.limit, queue=given.queue), given, console, mailbox_text.actions)


def _confirmed(given: argparse.Namespace, planned: dict[str, Any]) -> bool:
    what = f"{given.mailbox_command} {mailbox_text.meant(planned)}"
    if not sys.stdin.isatty():
        print(f"To {what} say --yes, or see with --dry-run what would happen.", file=sys.stderr)
        return False
    print(f"Really {what}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _filter(given: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(given, name) for name in FILTER}


def _way(name: str) -> str:
    return "wamid" if name.startswith("wamid.") else "message_id"


_COMMANDS = {
    "list": _list,
    "peek": _peek,
    "trace": _trace,
    "pause": _pause,
    "resume": _pause,
    "redrive": _change,
    "purge": _change,
    "actions": _actions,
}
