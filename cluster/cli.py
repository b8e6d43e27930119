"""The command ``spaza``."""

import argparse
import asyncio
import errno
import json
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from cluster.errors import ClusterError
from cluster.instance import chosen_data_dir
from cluster.mailbox_arguments import add_mailbox_commands
from cluster.migrate_arguments import add_migrate_command
from cluster.plain_lines import say
from cluster.promote_command import add_cluster_commands
from cluster.replicas.roles import REPLICAS_AT_MOST
from cluster.tenant_arguments import add_tenant_commands
from config.settings import SettingsError, refuse_wrong

OK, FAILED, MISUSED, NOT_READY = 0, 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 when it did what it was asked to, 1 when it could not, 2 for arguments or settings that cannot be used, and
        for ``status`` 3 when what runs is not ready.
    """
    given = _parser().parse_args(arguments)
    try:
        return _run(given)
    except SettingsError as error:
        say(f"The settings cannot be used:\n{error}")
        return MISUSED
    except ClusterError as error:
        say(error)
        return FAILED
    except BrokenPipeError:
        # As behind a pipe to head; what is left in the buffer would fail once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        where = f" while writing {error.filename}" if error.filename else ""
        print(f"The disk is full{where}. Make room, or choose another folder with SPAZA_DATA_DIR.", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130


def _run(given: argparse.Namespace) -> int:
    if given.command is not _up:  # which says of the same settings what is missing too
        refuse_wrong(os.environ)
    status = int(given.command(given))
    print(end="", flush=True)  # who reads it may be gone, and that is to be known here
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="spaza", description="Sell through WhatsApp: many merchants, one platform.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start everything here, and run it until Ctrl-C")
    up.add_argument("--no-demo", action="store_true", help="without the sandbox, the demo merchant and its secrets")
    standbys = "standbys of the embedded PostgreSQL (default: as many as there were, at first none)"
    up.add_argument("--replicas", type=_count, metavar="N", help=standbys)
    up.set_defaults(command=_up)
    status = commands.add_parser("status", help="what runs, its health and its figures")
    status.add_argument("--json", action="store_true", help="as JSON")
    status.set_defaults(command=_status)
    env = commands.add_parser("env", help="shell lines with which another Python program joins the Ray cluster")
    env.add_argument("--json", action="store_true", help="as JSON")
    env.set_defaults(command=_env)
    add_cluster_commands(commands)
    add_migrate_command(commands)
    add_mailbox_commands(commands)
    add_tenant_commands(commands)
    return parser


def _up(given: argparse.Namespace) -> int:
    from cluster.up import up  # noqa: PLC0415 - the other commands answer quickly without it

    environment = dict(os.environ)
    if given.replicas is not None:
        environment["SPAZA_POSTGRES__REPLICAS"] = str(given.replicas)
    up(environment, demo=not given.no_demo)
    return OK


def _status(given: argparse.Namespace) -> int:
    from cluster.status import ask  # noqa: PLC0415
    from cluster.status_text import show  # noqa: PLC0415

    document: dict[str, Any] = asyncio.run(ask(chosen_data_dir(os.environ)))
    if given.json:
        print(json.dumps(document, indent=1))
    else:
        show(document)
    return OK if document["ready"] else NOT_READY


def _env(given: argparse.Namespace) -> int:
    from cluster.ray_address import environment_to_join  # noqa: PLC0415

    wanted = environment_to_join(chosen_data_dir(os.environ))
    if given.json:
        print(json.dumps(wanted, indent=1))
    else:
        for name, value in wanted.items():
            print(f"export {name}={shlex.quote(value)}")
    return OK


def _count(text: str) -> int:
    if not text.isdigit() or not 0 <= int(text) <= REPLICAS_AT_MOST:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to {REPLICAS_AT_MOST}, not {text}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
