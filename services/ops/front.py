"""What answers at ``/``: a word to newcomers, health, the admin API, and JSON to whoever asks for what is not there."""

from collections.abc import Collection, Mapping
from typing import Any

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from services.correlation import HEADER, correlation_id_of
from services.ops.readiness import Readiness
from telemetry.log import get_logger

_RETRY_AFTER_S = b"2"
_log = get_logger("ops")
_Answer = tuple[int, Mapping[str, Any], list[tuple[bytes, bytes]]]


class FrontApp:
    """The ASGI application behind all paths that no other application has.

    Args:
        apis: by prefix, without a slash at its end, what serves all below it.
        readiness: of the parts behind.
        others: prefixes that other applications serve. Where such a path arrives here, HAProxy does not know them yet
            or they are being started, so the caller is asked to come again.
    """

    def __init__(self, apis: Mapping[str, ASGIApp], readiness: Readiness, others: Collection[str]) -> None:
        self._apis, self._readiness = apis, readiness
        self._others = tuple(others)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's start and end."""
        if scope["type"] != "http":
            # None of them has anything to start or end, and one answer is enough.
            await next(iter(self._apis.values()))(scope, receive, send)
            return
        for prefix, api in self._apis.items():
            if _below(_path(scope), prefix):
                await api({**scope, "root_path": prefix, "path": _path(scope)}, receive, send)
                return
        await self._front(scope, send)

    async def _front(self, scope: Scope, send: Send) -> None:
        request_id = correlation_id_of(dict(scope["headers"]))
        try:
            status, document, headers = await self._answer(scope, request_id)
        except Exception:  # noqa: BLE001 - the edge
            _log.exception("front_request_failed", request_id=request_id)
            status, document, headers = _refusal(500, "An unexpected error occurred", request_id)
        body = orjson.dumps(document)
        headers += [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (HEADER, request_id.encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: Scope, request_id: str) -> _Answer:
        path = _path(scope)
        if any(_below(path, prefix) for prefix in self._others):
            return _refusal(503, "Not ready yet; try again", request_id, (b"retry-after", _RETRY_AFTER_S))
        if path not in {"", "/healthz", "/readyz"}:
            return _refusal(404, "Not found", request_id)
        if scope["method"] not in {"GET", "HEAD"}:
            return _refusal(405, "Method not allowed", request_id, (b"allow", b"GET, HEAD"))
        if path == "/healthz":
            return 200, {"status": "ok"}, []
        if path == "/readyz":
            return await self._ready()
        return 200, self._welcome(), []

    async def _ready(self) -> _Answer:
        faults = await self._readiness.faults()
        ready = not any(faults.values())
        parts = {name: "; ".join(found) or "ok" for name, found in faults.items()}
        headers = [] if ready else [(b"retry-after", _RETRY_AFTER_S)]
        return 200 if ready else 503, {"ready": ready, "parts": parts}, headers

    def _welcome(self) -> Mapping[str, Any]:
        return {
            "message": "This is Spaza: it sells through WhatsApp. Nothing is wrong; the API is below these paths.",
            "paths": [*self._others, *self._apis, "/healthz", "/readyz"],
        }


def _path(scope: Scope) -> str:
    """The path without a slash at its end."""
    path: str = scope["path"]
    return path.rstrip("/")


def _below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}/")


def _refusal(status: int, message: str, request_id: str, *headers: tuple[bytes, bytes]) -> _Answer:
    return status, {"message": message, "request_id": request_id}, [*headers]
