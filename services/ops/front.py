"""What answers at ``/``: a word to newcomers, health, the admin APIs, JSON to whoever asks for what is not there."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.answers import NO_STORE, RETRY_AFTER, answer, answer_bytes, refuse
from services.ops.pages import Page
from services.ops.readiness import Readiness

Keeper = Callable[[], Awaitable[None]]


class FrontApp:
    """The ASGI application behind all paths that no other application has.

    Args:
        apis: by prefix, without a slash at its end, the chain of what serves all below it.
        front: the chain of what serves the rest.
        keepers: what this process looks after from its start to its end.
    """

    def __init__(self, apis: Mapping[str, ASGIApp], front: ASGIApp, keepers: Sequence[Keeper] = ()) -> None:
        self._apis, self._front, self._keepers = apis, front, tuple(keepers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's start and end."""
        if scope["type"] == "http":
            path = _path(scope)
            for prefix, api in self._apis.items():
                if _below(path, prefix):
                    await api({**scope, "root_path": prefix, "path": path}, receive, send)
                    return
        # None of them has anything to start or end, and one answer is enough.
        tasks = [asyncio.ensure_future(keeper()) for keeper in self._keepers] if scope["type"] == "lifespan" else []
        try:
            await self._front(scope, receive, send)
        finally:
            for task in tasks:
                task.cancel()


class Front:
    """Health, a word to newcomers, and that there is nothing else here.

    Args:
        apis: prefixes that are served beside it.
        readiness: of the parts behind.
        others: prefixes that other applications serve. Where such a path arrives here, HAProxy does not know them yet
            or they are being started, so the caller is asked to come again.
        pages: by path, what never changes.
    """

    def __init__(
        self,
        apis: Collection[str],
        readiness: Readiness,
        others: Collection[str],
        pages: Mapping[str, Page],
    ) -> None:
        self._apis, self._readiness, self._others, self._pages = tuple(apis), readiness, tuple(others), pages

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Serve one request, behind a chain."""
        path = _path(scope)
        if any(_below(_as_sent(scope), prefix) for prefix in self._others):
            await refuse(scope, send, 503, "Not ready yet; try again", headers=(RETRY_AFTER,))
        elif path not in {"", "/healthz", "/readyz"} and path not in self._pages:
            await refuse(scope, send, 404, "Not found")
        elif scope["method"] not in {"GET", "HEAD"}:
            await refuse(scope, send, 405, "Method not allowed", headers=((b"allow", b"GET, HEAD"),))
        elif path in self._pages:
            page = self._pages[path]
            await answer_bytes(scope, send, 200, page.body, page.content_type, headers=page.headers)
        elif path == "/healthz":
            await answer(scope, send, 200, {"status": "ok"}, headers=(NO_STORE,))
        elif path == "/readyz":
            await self._ready(scope, send)
        else:
            await answer(scope, send, 200, self._welcome(), headers=(NO_STORE,))

    async def _ready(self, scope: Scope, send: Send) -> None:
        states = await self._readiness.parts()
        ready = not any(state.faults for state in states.values())
        parts = {name: str(state) for name, state in states.items()}
        headers = (NO_STORE,) if ready else (NO_STORE, RETRY_AFTER)
        await answer(scope, send, 200 if ready else 503, {"ready": ready, "parts": parts}, headers=headers)

    def _welcome(self) -> Mapping[str, Any]:
        return {
            "message": "This is Spaza: it sells through WhatsApp. Nothing is wrong; the API is below these paths, and"
            " /docs says in a browser how to call it.",
            "paths": [*self._others, *self._apis, "/healthz", "/readyz", *self._pages],
            "read": "/docs",
        }


def _path(scope: Scope) -> str:
    """The path without a slash at its end."""
    path: str = scope["path"]
    return path.rstrip("/")


def _as_sent(scope: Scope) -> str:
    """The path as it stands in the request, by which HAProxy chooses; an encoded one will never get there."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.decode("latin-1").rstrip("/")


def _below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}/")
