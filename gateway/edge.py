"""The outermost part of every chain: makes the request's record, answers what nothing else did, and watches."""

import math
from time import perf_counter

from gateway.answers import refuse_with
from gateway.asgi import ASGIApp, Message, Receive, Scope, Send, serve_lifespan
from gateway.context import RequestContext, with_context
from gateway.errors import DisconnectedError
from gateway.hearsay import without_hearsay
from gateway.observer import GatewayObserver
from gateway.own_errors import refusal_in_words
from gateway.refusal import Refusal
from kernel.errors import SpazaError
from telemetry.log import get_logger
from telemetry.observing import failing_open

_UNEXPECTED = Refusal(500, "An unexpected error occurred")
_log = get_logger("gateway")


class Edge:
    """The first part of a chain. Holds no state between requests.

    It has the one timer of a request. What comes after it says how long each part may take, with ``allow``; an answer
    that has begun may take its time.

    Args:
        app: the rest of the chain.
        route: its name.
        observer: is told of every answer.
        logs: whether the log is, too.
    """

    def __init__(self, app: ASGIApp, route: str, observer: GatewayObserver, *, logs: bool = False) -> None:
        self._app, self._route, self._observer, self._logs = app, route, observer, logs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's start and end."""
        if scope["type"] == "lifespan":
            await serve_lifespan(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "websocket":
            # Before the handshake is accepted, this is a 403.
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = perf_counter()
        headers = without_hearsay(scope["headers"])
        context = RequestContext(self._route, _path(scope), dict(headers))
        scope = with_context(scope, context)
        scope["headers"] = headers

        async def sending(event: Message) -> None:
            if event["type"] == "http.response.start":
                context.status = event["status"]
                context.timer.deadline = math.inf
                event = {**event, "headers": [*event.get("headers", ()), *context.answer_headers]}
            await send(event)

        try:
            with context.timer:
                await self._app(scope, receive, sending)
        except DisconnectedError:
            return
        except Exception as error:
            if context.status is not None:
                # Half an answer cannot be taken back; the server cuts the connection, so that the caller sees it.
                raise
            await refuse_with(scope, sending, self._refusal(error, context))
        if context.status is not None:
            seconds = perf_counter() - start
            with failing_open(_log):
                self._observer.answered(self._route, context.status, seconds)
            if self._logs:
                _log.info(
                    "request_done",
                    method=scope["method"],
                    route=self._route,
                    status=context.status,
                    ms=round(seconds * 1000, 2),
                    tenant_id=None if context.identity is None else context.identity.tenant_id,
                    correlation_id=context.correlation_id,
                )

    def _refusal(self, error: Exception, context: RequestContext) -> Refusal:
        known = {"route": self._route, "correlation_id": context.correlation_id}
        if isinstance(error, TimeoutError) and context.late is not None and context.timer.is_over:
            _log.warning("request_late", status=context.late.status, **known)
            return context.late
        if isinstance(error, SpazaError) and (refusal := refusal_in_words(error, context)) is not None:
            return refusal
        _log.error("request_failed", exc_info=error, **known)
        return _UNEXPECTED


def _path(scope: Scope) -> str:
    # Serve mounts the application: root_path is its prefix, and path holds the whole.
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")).rstrip("/")
