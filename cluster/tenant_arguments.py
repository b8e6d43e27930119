"""The arguments of ``spaza tenant``."""

import argparse
import re
from typing import Any

# Whoever may look at the processes of this machine sees a flag, and the shell remembers it.
_SAFER = "; a secret is safer in the file than in a flag, which others may see"
_NUMBER = re.compile(r"([^=]+)=(\+?[0-9]+)")


def add_tenant_commands(commands: Any) -> None:
    """Add ``tenant`` and what belongs to it to the subparsers of ``spaza``."""
    tenant = commands.add_parser("tenant", help="make merchants, look at them, look after them")
    below = tenant.add_subparsers(required=True, metavar="COMMAND")

    create = _command(below, "create", "make a merchant; prints its credential, which is shown this once")
    create.add_argument("--file", metavar="FILE", help="JSON as POST /api/v1/tenants takes it; - reads standard input")
    create.add_argument("--name", metavar="NAME", help="of the shop; flags win over the file")
    create.add_argument(
        "--number", dest="numbers", type=_number, action="append", metavar="ID=+NUMBER",
        help="phone_number_id and the number as people see it: 100000000000001=+27110000001; may be repeated",
    )  # fmt: skip
    create.add_argument("--lat", type=float, metavar="DEGREES", help="where the shop is")
    create.add_argument("--lon", type=float, metavar="DEGREES")
    create.add_argument("--access-token", metavar="TOKEN", help=f"of the WhatsApp Business Account{_SAFER}")
    create.add_argument("--waba-id", metavar="ID", help="of the WhatsApp Business Account")
    create.add_argument("--catalog-id", metavar="ID", help="of the catalogue at Meta")
    create.add_argument("--paystack-secret-key", metavar="KEY", help=f"of Paystack{_SAFER}")
    create.add_argument("--ozow-site-code", metavar="CODE", help="of Ozow")
    create.add_argument("--ozow-private-key", metavar="KEY", help=f"of Ozow{_SAFER}")
    create.add_argument("--ozow-api-key", metavar="KEY", help=f"of Ozow{_SAFER}")
    create.add_argument("--minute", type=int, metavar="N", help="requests a minute on one route")
    create.add_argument("--hour", type=int, metavar="N", help="requests an hour on one route")
    _add_key(create)

    listed = _command(below, "list", "all merchants, in the order of their making")
    listed.add_argument("--limit", type=int, metavar="N", help="so many at most (all, unless said)")
    listed.add_argument("--cursor", metavar="CURSOR", help="go on behind this, as the last list said")
    listed.add_argument("--removed", action="store_true", help="with those that were removed in the last month")

    _command(below, "show", "one merchant: numbers, credentials, gateways; no secrets", tenant=True)

    rotate = _command(below, "rotate", "issue a new credential, which is shown this once", tenant=True)
    rotate.add_argument(
        "--grace", dest="grace_s", type=int, metavar="SECONDS",
        help="for which the older ones still hold (default 86400); 0 ends them at once",
    )  # fmt: skip
    rotate.add_argument(
        "--public-key", metavar="FILE", help="of RSA, in PEM: calls are signed with RS256, and no secret is issued"
    )
    _add_key(rotate)

    token = _command(below, "token", "print a JWT for calls as this merchant, which holds for an hour")
    token.add_argument("tenant_id", metavar="TENANT", nargs="?", help="its id; not needed where there is one merchant")
    token.add_argument("--seconds", dest="ttl_s", type=int, metavar="SECONDS", help="for which it holds (default 3600)")

    _command(below, "suspend", "answer neither its customers nor its calls, until it is resumed", tenant=True)
    _command(below, "resume", "serve it again", tenant=True)

    limits = _command(below, "limits", "show a merchant's own limits, or change them; it counts at once", tenant=True)
    limits.add_argument("--minute", type=int, metavar="N", help="requests a minute")
    limits.add_argument("--hour", type=int, metavar="N", help="requests an hour")
    limits.add_argument("--route", metavar="ROUTE", help="on this route alone, such as products; otherwise on each")
    limits.add_argument("--reset", action="store_true", help="what is not named goes back to what holds otherwise")

    move = _command(below, "move", "move a merchant to another shard while it is in use", tenant=True)
    move.add_argument("--to", dest="shard", type=int, required=True, metavar="SHARD", help="0 to 31")

    remove = _command(below, "remove", "export a merchant's rows to a file, and take it away", tenant=True)
    remove.add_argument("--export", required=True, metavar="FILE", help="JSON lines; gone on with if a part is there")
    remove.add_argument("--yes", action="store_true", help="do not ask")

    _command(below, "reseal", "seal all secrets under the first key, so that the other keys are needed no longer")


def _command(below: Any, name: str, about: str, *, tenant: bool = False) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = below.add_parser(name, help=about, description=about)
    if tenant:
        command.add_argument("tenant_id", metavar="TENANT", help="its id")
    command.add_argument("--json", action="store_true", help="as JSON")
    command.set_defaults(command=_run, tenant_command=name)
    return command


def _add_key(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--idempotency-key", metavar="KEY",
        help="names this request, so that repeating it does it once; a new one each time, unless said",
    )  # fmt: skip


def _run(given: argparse.Namespace) -> int:
    from cluster.tenant_command import run  # noqa: PLC0415 - the other commands answer quickly without it

    return run(given)


def _number(text: str) -> dict[str, str]:
    named = _NUMBER.fullmatch(text)
    if named is None:
        raise argparse.ArgumentTypeError(f"must be ID=+NUMBER, such as 100000000000001=+27110000001, not {text}")
    return {"phone_number_id": named[1], "display_phone_number": named[2]}
