"""The admin API of the instance on a data folder, for the command line."""

import json
import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from cluster.errors import AdminRefusedError, NotRunningError
from cluster.instance import is_claimed, read_record
from config.settings import DEMO_ADMIN_TOKEN

_PREFIX = "/api/v1/mailboxes"
_TOKEN = "SPAZA_ADMIN__TOKEN"  # noqa: S105 - the name of a setting
# Longer than the API takes for a part of a redrive.
_TIMEOUT_S = 60.0


class AdminClient:
    """Calls the instance of a data folder, as the user of this process. Blocks."""

    def __init__(self, data_dir: Path, environment: Mapping[str, str]) -> None:
        """Find the instance.

        Args:
            data_dir: its folder.
            environment: with the admin token, unless it is the demo's.

        Raises:
            NotRunningError: none runs there, or it has not come far enough.
        """
        record = read_record(data_dir) if is_claimed(data_dir) else None
        if record is None or "http" not in record.ports:
            raise NotRunningError(data_dir, "no instance runs there")
        self._data_dir, self._pid = data_dir, record.pid
        # Without a token of its own only the demo starts.
        token = environment.get(_TOKEN, DEMO_ADMIN_TOKEN)
        self._client = httpx.Client(
            base_url=f"{record.api}{_PREFIX}",
            headers={"Authorization": f"Bearer {token}", "X-Operator": user_name()},
            timeout=_TIMEOUT_S,
            trust_env=False,
        )

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Ask; what is None is left out.

        Raises:
            AdminRefusedError: with what the API said, and the remedy.
            NotRunningError: nobody answers.
        """
        given = {name: value for name, value in query.items() if value is not None}
        return self._answer("GET", path, params=given)

    def post(self, path: str, **fields: Any) -> dict[str, Any]:
        """Have something done; otherwise as ``get``."""
        return self._answer("POST", path, json={name: value for name, value in fields.items() if value is not None})

    def _answer(self, method: str, path: str, **what: Any) -> dict[str, Any]:
        try:
            answer = self._client.request(method, path, **what)
        except httpx.TransportError as error:
            raise NotRunningError(self._data_dir, f"its API does not answer ({type(error).__name__})") from None
        try:
            document: Any = answer.json()
        except json.JSONDecodeError:
            document = None
        if answer.status_code == 200 and isinstance(document, dict):
            return document
        raise AdminRefusedError(answer.status_code, *_said(answer, document))


def user_name() -> str:
    """Who runs this command, as the operating system knows him."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name[:64]
    except KeyError:
        return f"uid {os.getuid()}"


def _said(answer: httpx.Response, document: Any) -> tuple[str, tuple[str, ...]]:
    if not isinstance(document, dict) or "message" not in document:
        # HAProxy's own page, or that of a route which is not there yet.
        return f"the API answered {answer.status_code} without a word of its own; it may be starting", ()
    faults = tuple(f"{one['field']}: {one['message']}" for one in document.get("errors", ()))
    return str(document["message"]), faults
