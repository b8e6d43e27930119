"""A call through a chain without a server."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from config.plugins import Options
from config.routes import Route
from gateway.asgi import ASGIApp, Header, Receive, Scope, Send
from gateway.context import RequestContext, context_of

PATH = "/api/v1/things"
Handle = Callable[[Scope, Receive, Send], Awaitable[None]]


class Answered:
    """What a server was given."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.events = events
        self.status: int = events[0]["status"]
        self.raw: list[Header] = [(bytes(name), bytes(value)) for name, value in events[0]["headers"]]
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in self.raw}
        self.body = b"".join(event.get("body", b"") for event in events[1:])

    def json(self) -> Any:
        return json.loads(self.body)


class App:
    """The application behind: remembers what reached it, and answers with JSON."""

    def __init__(
        self,
        document: Any = None,
        *,
        headers: Sequence[Header] = ((b"content-type", b"application/json"),),
        status: int = 200,
        handle: Handle | None = None,
    ) -> None:
        self._document, self._headers, self._status, self._handle = document, headers, status, handle
        self.scopes: list[Scope] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if self._handle is not None:
            await self._handle(scope, receive, send)
            return
        self.bodies.append((await receive())["body"])
        await send({"type": "http.response.start", "status": self._status, "headers": [*self._headers]})
        await send({"type": "http.response.body", "body": json.dumps(self._document).encode()})

    @property
    def context(self) -> RequestContext:
        return context_of(self.scopes[-1])

    @property
    def upstream(self) -> dict[str, str]:
        """The headers that reached it."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.scopes[-1]["headers"]}


def route(plugins: Mapping[str, Options] | None = None, *, timeout_s: float = 30.0) -> Route:
    return Route(name="things", path=PATH, service="thing-service", timeout_s=timeout_s, plugins=plugins or {})


async def call(
    app: ASGIApp,
    method: str = "GET",
    path: str = "",
    *,
    headers: Sequence[tuple[str, str]] = (),
    query: str = "",
    body: bytes | Sequence[bytes] = b"",
    disconnect: bool = False,
    client: str = "127.0.0.1",
) -> Answered | None:
    """The answer; None where none was begun."""
    pieces = [body] if isinstance(body, bytes) else list(body)
    incoming: list[dict[str, Any]] = [
        {"type": "http.request", "body": piece, "more_body": at < len(pieces) - 1 or disconnect}
        for at, piece in enumerate(pieces)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {
        "type": "http", "method": method, "path": PATH + path, "root_path": PATH, "raw_path": (PATH + path).encode(),
        "query_string": query.encode("latin-1"), "client": (client, 1),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
    }  # fmt: skip
    await app(scope, receive, send)
    return Answered(sent) if sent else None


async def answered(app: ASGIApp, method: str = "GET", path: str = "", **more: Any) -> Answered:
    """The answer, of which there has to be one."""
    answer = await call(app, method, path, **more)
    assert answer is not None
    return answer
