"""The arguments of ``spaza migrate``."""

import argparse
from pathlib import Path
from typing import Any


def add_migrate_command(commands: Any) -> None:
    """Add ``migrate`` to the subparsers of ``spaza``."""
    about = "bring the shared tables and all tenants' schemas up to date, or say how they differ"
    migrate = commands.add_parser("migrate", help=about, description=f"{about[0].upper()}{about[1:]}.")
    migrate.add_argument("what", nargs="?", choices=["drift"], metavar="drift", help="the same as --drift")
    does = migrate.add_mutually_exclusive_group()
    does.add_argument("--dry-run", action="store_true", help="say what would be applied where, and change nothing")
    does.add_argument("--drift", action="store_true", help="say which schemas are not what they should be, and how")
    migrate.add_argument(
        "--phase", choices=["pre", "post"], help="pre: before the new code; post: after the old code; default both"
    )
    migrate.add_argument(
        "--canary", dest="canaries", action="append", metavar="TENANT_ID", help="goes first; may be repeated"
    )
    migrate.add_argument(
        "--per-shard", type=_number, default=2, metavar="N", help="tenants of one shard at a time (default 2)"
    )
    migrate.add_argument(
        "--connections", type=_number, default=16, metavar="N", help="of all shards together (default 16)"
    )
    wait = "for a lock, before it lets others pass and comes again (default 2000)"
    migrate.add_argument("--lock-timeout-ms", type=_number, default=2_000, metavar="N", help=wait)
    migrate.add_argument("--attempts", type=_number, default=8, metavar="N", help="how often it comes (default 8)")
    longest = "that one statement may take (default 600)"
    migrate.add_argument("--statement-timeout-s", type=_number, default=600, metavar="N", help=longest)
    files = "with shared/ and tenant/, instead of the files of this installation"
    migrate.add_argument("--files", type=Path, metavar="FOLDER", help=files)
    migrate.add_argument("--json", action="store_true", help="as JSON; the progress as JSON lines on standard error")
    migrate.set_defaults(command=_run)


def _run(given: argparse.Namespace) -> int:
    from cluster.migrate_command import run  # noqa: PLC0415 - the other commands answer quickly without it

    return run(given)


def _number(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to 1000000, not {text}")
    return int(text)
