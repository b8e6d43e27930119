"""The arguments of ``spaza mailbox``."""

import argparse
import re
from datetime import UTC, datetime, timedelta
from typing import Any

FILTER = ("tenant", "key", "reason", "since", "until", "ids")
_AGO = re.compile(r"(\d{1,6})([smhd])")
# As the admin API takes it.
_FASTEST = 100_000
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add_mailbox_commands(commands: Any) -> None:
    """Add ``mailbox`` and what belongs to it to the subparsers of ``spaza``."""
    mailbox = commands.add_parser("mailbox", help="look into the mailboxes, and operate them")
    below = mailbox.add_subparsers(required=True, metavar="COMMAND")

    listed = _command(below, "list", "the queues: what waits, for whom, how fast, and the dead letters")
    listed.add_argument(
        "--tenants", type=_number, metavar="N", help="tenants shown for each (default 3, with --json 100)"
    )

    peek = _command(below, "peek", "messages of a queue, without touching them", queue=True)
    _add_which(peek, "waiting")
    _add_filter(peek)
    peek.add_argument("--limit", type=_number, default=20, metavar="N", help="messages of a page (default 20)")
    peek.add_argument("--after", metavar="PLACE", help="go on behind this place, as the last page said")
    peek.add_argument("--body", type=_number, default=0, metavar="BYTES", help="show the beginning of each body")
    _add_unmasked(peek)

    trace = _command(below, "trace", "where is my message: its whole way, for seven days after it ended")
    trace.add_argument("name", metavar="ID", help="message id or wamid")
    way = trace.add_mutually_exclusive_group()
    way.add_argument("--order", action="store_true", help="ID is an order's")
    way.add_argument("--correlation", action="store_true", help="ID is a correlation id")
    trace.add_argument("--number", metavar="PHONE_NUMBER_ID", help="that received the wamid; saves a search")
    trace.add_argument("--hours", type=_number, metavar="N", help="how far back to search for --order, --correlation")
    _add_unmasked(trace)

    _command(below, "pause", "deliver nothing of a queue until it is resumed; it goes on taking messages", queue=True)
    _command(below, "resume", "deliver a queue's messages again", queue=True)

    redrive = _command(
        below,
        "redrive",
        "put dead letters back into their queue; those that were damaged with --reason checksum alone",
        queue=True,
    )
    _add_change(redrive)
    redrive.add_argument("--force", action="store_true", help="also those that may reach a customer twice then")

    purge = _command(
        below,
        "purge",
        "settle what waits in a queue as purged, or of a dead-letter queue the dead letters; nothing delivers them any "
        "more",
        queue=True,
    )
    _add_which(purge, "waiting")
    _add_change(purge)

    actions = _command(below, "actions", "who did what to the mailboxes, the latest first")
    actions.add_argument("--limit", type=_number, default=20, metavar="N", help="how many (default 20)")
    actions.add_argument("--queue", metavar="QUEUE", help="of one queue alone")


def _command(below: Any, name: str, about: str, *, queue: bool = False) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = below.add_parser(name, help=about, description=about)
    if queue:
        command.add_argument("queue", metavar="QUEUE", help="name of a queue or of its dead-letter queue")
    command.add_argument("--json", action="store_true", help="as JSON")
    command.set_defaults(command=_run, mailbox_command=name, refuse=command.error)
    return command


def _run(given: argparse.Namespace) -> int:
    from cluster.mailbox_command import run  # noqa: PLC0415 - the other commands answer quickly without it

    if getattr(given, "all", False) and (named := [name for name in FILTER if getattr(given, name) is not None]):
        name = "id" if named[0] == "ids" else named[0]
        given.refuse(f"--all means all of them; leave out --all, or --{name}")
    return run(given)


def _add_which(command: argparse.ArgumentParser, default: str) -> None:
    which = command.add_mutually_exclusive_group()
    which.add_argument("--waiting", dest="which", action="store_const", const="waiting", help="what waits")
    which.add_argument("--dead", dest="which", action="store_const", const="dead", help="the dead letters")
    command.set_defaults(which=default)


def _add_filter(command: argparse.ArgumentParser) -> None:
    command.add_argument("--tenant", metavar="ID", help="of one tenant, or of one phone_number_id where none is known")
    command.add_argument("--key", metavar="KEY", help="of one key")
    command.add_argument("--reason", metavar="REASON", help="dead letters of one reason, such as rejected or auth")
    when = "a time such as 2026-11-23T05:00Z, or so long ago: 90s, 15m, 2h, 3d"
    command.add_argument("--since", type=_moment, metavar="TIME", help=f"published then or later: {when}")
    command.add_argument("--until", type=_moment, metavar="TIME", help="published before")
    command.add_argument("--id", dest="ids", action="append", metavar="ID", help="this message; may be repeated")


def _add_change(command: argparse.ArgumentParser) -> None:
    _add_filter(command)
    command.add_argument("--all", action="store_true", help="all of them, without a filter")
    command.add_argument("--dry-run", action="store_true", help="say what would happen, and change nothing")
    command.add_argument("--limit", type=_number, metavar="N", help="so many messages at most")
    command.add_argument("--rate", type=_rate, metavar="N", help="so many a second at most")
    command.add_argument("--yes", action="store_true", help="do not ask")


def _add_unmasked(command: argparse.ArgumentParser) -> None:
    command.add_argument("--unmasked", action="store_true", help="with customers' phone numbers; that is recorded")


def _number(text: str) -> int:
    if not text.isdigit() or int(text) > 1_000_000:
        raise argparse.ArgumentTypeError(f"must be a number up to 1000000, not {text}")
    return int(text)


def _rate(text: str) -> int:
    number = _number(text)
    if not 1 <= number <= _FASTEST:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to {_FASTEST}, not {text}")
    return number


def _moment(text: str) -> str:
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return (datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).isoformat()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be a time such as 2026-11-23T05:00Z, or so long ago: 15m, not {text}"
        ) from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).isoformat()
