"""``spaza tenant``: what each of its commands asks of the admin API, and what it says."""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from cluster import tenant_text
from cluster.admin_client import TENANTS, AdminClient
from cluster.answered import DONE, NOT_DONE, UNCONFIRMED, show
from cluster.errors import AdminRefusedError, ClusterError, TenantFileError, TenantNotNamedError
from cluster.instance import chosen_data_dir
from cluster.plain_lines import say
from cluster.tenant_export import CHANGED, ExportFile
from kernel.identifiers import new_id
from kernel.plain_text import visible

_PAGE: Final = 500
_RESEAL_CALLS: Final = 1_000


def run(given: argparse.Namespace, console: Console | None = None) -> int:
    """Run one command.

    Returns:
        0 when it did what it was asked to; 1 where only a part of it was done; 2 where it was not confirmed.
    """
    console = Console(highlight=False, soft_wrap=True) if console is None else console
    client = AdminClient(chosen_data_dir(os.environ), os.environ, TENANTS)
    return int(_COMMANDS[given.tenant_command](client, given, console))


def _create(client: AdminClient, given: argparse.Namespace, console: Console) -> int:
    made = client.send("POST", "", _spec(given), idempotency_key=_key(given))
    return show(made, given, console, tenant_text.created)


def _list(client: AdminClient, given: argparse.Namespace, console: Console) -> int:
    tenants: list[dict[str, Any]] = []
    cursor, missing = given.cursor, set[int]()
    while True:
        left = _PAGE if given.limit is None else min(_PAGE, given.limit - len(tenants))
        page = client.get("", limit=left, cursor=cursor, removed=given.removed or None)
        tenants += page["tenants"]
        missing.update(page["missing_shards"])
        cursor = page["next_cursor"]
        if cursor is None or (given.limit is not None and len(tenants) >= given.limit):
            break
    document = {
        "tenants": tenants, "next_cursor": cursor, "partial": bool(missing), "missing_shards": sorted(missing),
    }  # fmt: skip
    show(document, given, console, tenant_text.listed)
    return NOT_DONE if missing else DONE


def _one(client: AdminClient, given: argparse.Namespace, console: Console) -> int:
    return show(client.get(f"/{given.tenant_id}"), given, console, tenant_text.shown)


def _rotate(client: AdminClient, given: argparse.Namespace, console: Console) -> int:
    asked: dict[str, Any] = {} if given.grace_s is None else {"grace_s": given.grace_s}
    if given.public_key is not None:
        asked["public_key"] = _text_of(given.public_key)
    done = client.send("POST", f"/{given.tenant_id}/rotate", asked, idempotency_key=_key(given))
    return show(done, given, console, tenant_text.rotated)


def _token(client: AdminClient, given: argparse.Namespace, console: Console) -> int:
    tenant_id = _only_tenant(client) if given.tenant_id is None else given.tenant_id
    asked = {} if given.ttl_s is None else {"ttl_s": given.ttl_s}
    return show(client.send("POST", f"/{tenant_id}/token", asked), given, console, tenant_text.token)


def _only_tenant(client: AdminClient) -> str:
    tenants = client.get("", limit=2)["tenants"]
    if len(tenants) != 1:
        raise TenantNotNamedError(len(tenants))
    return str(tenants[0]["tenant_id"])


def _enter(client: AdminClient, given: argparse.Namespace, console: Console) -> int:
    return show(client.post(f"/{given.tenant_id}/{given.tenant_command}"), given, console, tenant_text.state)


def _limits(client: AdminClient, given: argparse.Namespace, console: Console) -> int:
    named = {name: value for name in ("minute", "hour") if (value := getattr(given, name)) is not None}
    asked: dict[str, Any] = {"minute": None, "hour": None, **named} if given.reset else named
    if given.route is not None:
        asked = {"routes": {given.route: asked if named else None}} if asked else {}
    elif given.reset:
        asked["routes"] = None
    path = f"/{given.tenant_id}"
    if not asked:
        shown = client.get(path)
        done = {"tenant_id": shown["tenant_id"], "limits": shown["limits"]}
    else:
        done = client.send("POST", f"{path}/limits", asked)
    return show(done, given, console, tenant_text.limits)


def _move(client: AdminClient, given: argparse.Namespace, console: Console) -> int:
    """Ask until it is done; to ask again joins the move that is under way, and who ends the asking ends no move."""
    began = time.monotonic()
    while True:
        done = client.post(f"/{given.tenant_id}/move", shard=given.shard)
        if done["success"]:
            return show(done, given, console, tenant_text.moved)
        try:
            said = tenant_text.moving(client.get(f"/{given.tenant_id}").get("moving"), time.monotonic() - began)
        except AdminRefusedError as error:
            # Its shard may not answer, and the move goes on or not.
            said = str(error)
        print(said, file=sys.stderr, flush=True)


def _remove(client: AdminClient, given: argparse.Namespace, console: Console) -> int:
    """Give it up, export it, take it away; run again after a crash, it goes on where that left off."""
    file = ExportFile(Path(given.export), given.tenant_id)
    shown = client.get(f"/{given.tenant_id}")
    if not given.yes and not _confirmed(shown):
        return UNCONFIRMED
    file.prepare()
    try:
        if shown["state"] in {"active", "suspended"}:
            client.post(f"/{given.tenant_id}/remove")
        done = _taken_away(client, given, file)
    except ClusterError:
        say(tenant_text.half_removed(given.tenant_id, given.export, _state_of(client, given.tenant_id)))
        raise
    return show({**done, "export": str(file.path), "rows": file.rows}, given, console, tenant_text.removed)


def _taken_away(client: AdminClient, given: argparse.Namespace, file: ExportFile) -> dict[str, Any]:
    file.fill(client)
    try:
        return client.send("DELETE", f"/{given.tenant_id}", digest=file.digest)
    except AdminRefusedError as error:
        if error.status != CHANGED:
            raise
        # The file is of an earlier time, and rows have changed since.
        file.begin_anew()
        file.fill(client)
        return client.send("DELETE", f"/{given.tenant_id}", digest=file.digest)


def _state_of(client: AdminClient, tenant_id: str) -> str | None:
    try:
        return str(client.get(f"/{tenant_id}")["state"])
    except ClusterError:
        # What is the matter is said by the error for which this is asked.
        return None


def _reseal(client: AdminClient, given: argparse.Namespace, console: Console) -> int:
    resealed = 0
    for _ in range(_RESEAL_CALLS):
        done = client.send("POST", "/reseal", {})
        resealed += done["resealed"]
        if done["complete"] or done["unopened"] or done["missing_shards"]:
            break
    show({**done, "resealed": resealed}, given, console, tenant_text.resealed)
    return DONE if done["complete"] else NOT_DONE


def _spec(given: argparse.Namespace) -> dict[str, Any]:
    """The file's fields, and over them the flags'. What is wrong with them is for the API to say."""
    spec = _read(given.file) if given.file is not None else {}
    flags = {
        "name": given.name,
        "phone_numbers": given.numbers,
        "location": {"lat": given.lat, "lon": given.lon},
        "whatsapp": {
            "access_token": given.access_token, "waba_id": given.waba_id, "catalog_id": given.catalog_id,
        },
        "payments": {
            "paystack": {"secret_key": given.paystack_secret_key},
            "ozow": {
                "site_code": given.ozow_site_code, "private_key": given.ozow_private_key,
                "api_key": given.ozow_api_key,
            },
        },
        "limits": {"minute": given.minute, "hour": given.hour},
    }  # fmt: skip
    return _over(spec, flags)


def _over(base: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in flags.items():
        if isinstance(value, dict):
            below = _over(merged[name] if isinstance(merged.get(name), dict) else {}, value)
            if below:
                merged[name] = below
        elif value is not None:
            merged[name] = value
    return merged


def _read(name: str) -> dict[str, Any]:
    try:
        document = json.loads(_text_of(name))
    except ValueError as error:
        raise TenantFileError(name, f"it is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise TenantFileError(name, "it holds no object with fields")
    return document


def _text_of(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise TenantFileError(name, error.strerror or str(error)) from None


def _key(given: argparse.Namespace) -> str:
    return new_id() if given.idempotency_key is None else str(given.idempotency_key)


def _confirmed(shown: dict[str, Any]) -> bool:
    what = f"remove {shown['name'] or 'the tenant'} ({shown['tenant_id']})"
    if not sys.stdin.isatty():
        say(f"To {what} say --yes. Its customers are not answered from then on, and its rows go.")
        return False
    print(visible(f"Really {what}, with all its rows? [y/N] "), end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


_COMMANDS = {
    "create": _create,
    "list": _list,
    "show": _one,
    "rotate": _rotate,
    "token": _token,
    "suspend": _enter,
    "resume": _enter,
    "limits": _limits,
    "move": _move,
    "remove": _remove,
    "reseal": _reseal,
}
