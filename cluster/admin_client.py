"""The admin API of the instance on a data folder, for the command line."""

import json
import os
import pwd
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from cluster.errors import AdminRefusedError, NotRunningError
from cluster.instance import is_claimed, read_record
from config.settings import DEMO_ADMIN_TOKEN

MAILBOXES, TENANTS = "/api/v1/mailboxes", "/api/v1/tenants"
_TOKEN = "SPAZA_ADMIN__TOKEN"  # noqa: S105 - the name of a setting
# Longer than the API takes for a part of a redrive.
_TIMEOUT_S = 60.0


class AdminClient:
    """Calls the instance of a data folder, as the user of this process. Blocks."""

    def __init__(self, data_dir: Path, environment: Mapping[str, str], prefix: str = MAILBOXES) -> None:
        """Find the instance.

        Args:
            data_dir: its folder.
            environment: with the admin token, unless it is the demo's.
            prefix: of the API that is called.

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
            base_url=f"{record.api}{prefix}",
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

    def send(
        self, method: str, path: str, document: Any = None, *, idempotency_key: str | None = None, **query: Any
    ) -> dict[str, Any]:
        """Have something done with a document of one's own; otherwise as ``get``."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        given = {name: value for name, value in query.items() if value is not None}
        body = {} if document is None else {"json": document}
        return self._answer(method, path, params=given, headers=headers, **body)

    def lines(self, path: str, **query: Any) -> Iterator[bytes]:
        """The lines of an answer as they arrive, each with its end; the last may be without, if the answer broke off.

        Raises:
            AdminRefusedError: with what the API said, and the remedy.
            NotRunningError: nobody answers, or not to the end.
        """
        given = {name: value for name, value in query.items() if value is not None}
        try:
            with self._client.stream("GET", path, params=given) as answer:
                if not answer.is_success:
                    answer.read()
                    raise self._refused(answer)
                rest = b""
                for part in answer.iter_bytes():
                    *whole, rest = (rest + part).split(b"\n")
                    yield from (line + b"\n" for line in whole)
                if rest:
                    yield rest
        except httpx.TransportError as error:
            raise NotRunningError(self._data_dir, f"its API broke off ({type(error).__name__})") from None

    def _answer(self, method: str, path: str, **what: Any) -> dict[str, Any]:
        try:
            answer = self._client.request(method, path, **what)
        except httpx.TransportError as error:
            raise NotRunningError(self._data_dir, f"its API does not answer ({type(error).__name__})") from None
        document = _document(answer)
        if answer.is_success and isinstance(document, dict):
            return document
        raise self._refused(answer)

    def _refused(self, answer: httpx.Response) -> AdminRefusedError:
        return AdminRefusedError(answer.status_code, *_said(answer, _document(answer)))


def _document(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except json.JSONDecodeError:
        return None


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
