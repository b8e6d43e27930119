"""The admin API of the mailboxes over HTTP, below ``/api/v1/mailboxes``."""

import hmac
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kernel.errors import SpazaError
from services.correlation import HEADER, correlation_id_of
from services.ops.audit import Who
from services.ops.errors import RefusedRequestError
from services.ops.masking import masked
from services.ops.schemas import (
    ActionsQuery,
    ListQuery,
    NoFields,
    PeekQuery,
    PurgeRequest,
    RedriveRequest,
    TraceQuery,
)
from services.ops.service import MailboxOperations
from services.ops.tracing import Tracer
from telemetry.log import get_logger

_BODY_BYTES = 1_000_000
_NAME = re.compile(r"[\w.@+ -]{1,64}")
_MANY = frozenset({"ids"})
_log = get_logger("ops")
Given = TypeVar("Given", bound=BaseModel)
Handler = Callable[[Request], Awaitable[Any]]


class OpsApp:
    """The ASGI application: lets in who has the admin token, and answers in JSON.

    Args:
        operations: the use cases.
        tracer: finds messages.
        token: the admin token.
    """

    def __init__(self, operations: MailboxOperations, tracer: Tracer, token: bytes) -> None:
        self._operations, self._tracer, self._token = operations, tracer, token
        self._router: ASGIApp = Starlette(
            routes=[
                Route("/", self._handled(self._list), methods=["GET"]),
                Route("/actions", self._handled(self._actions), methods=["GET"]),
                Route("/trace", self._handled(self._trace), methods=["GET"]),
                Route("/{queue}", self._handled(self._show), methods=["GET"]),
                Route("/{queue}/messages", self._handled(self._peek), methods=["GET"]),
                Route("/{queue}/pause", self._handled(self._pause), methods=["POST"]),
                Route("/{queue}/resume", self._handled(self._resume), methods=["POST"]),
                Route("/{queue}/redrive", self._handled(self._redrive), methods=["POST"]),
                Route("/{queue}/purge", self._handled(self._purge), methods=["POST"]),
            ],
            exception_handlers={HTTPException: _not_routed},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's start and end."""
        if scope["type"] == "http":
            # Serve mounts the application: root_path is its prefix, and path holds the whole.
            path = scope["path"].removeprefix(scope.get("root_path", "")).rstrip("/")
            scope = {**scope, "root_path": "", "path": path or "/", "raw_path": (path or "/").encode()}
            scope["state"] = {"request_id": correlation_id_of(dict(scope["headers"]))}
        await self._router(scope, receive, send)

    def _handled(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            try:
                self._let_in(request)
                return _json(request, 200, await handler(request))
            except ValidationError as error:
                faults = tuple((".".join(map(str, one["loc"])) or "body", one["msg"]) for one in error.errors())
                return _refusal(request, 422, "The request is not valid", faults)
            except RefusedRequestError as error:
                return _refusal(request, error.status, error.message, error.errors)
            except SpazaError as error:
                return _refusal(request, error.http_status, _sentence(str(error)))
            except Exception:  # noqa: BLE001 - the edge
                _log.exception("ops_request_failed", request_id=request.state.request_id)
                return _refusal(request, 500, "An unexpected error occurred")

        return handle

    def _let_in(self, request: Request) -> None:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        known = hmac.compare_digest(given.strip().encode(), self._token)
        if kind.lower() != "bearer" or not known:
            raise RefusedRequestError(401, "The admin token is missing or does not match")

    async def _list(self, request: Request) -> Any:
        return await self._operations.overview(tenants=_query(request, ListQuery).tenants)

    async def _show(self, request: Request) -> Any:
        return await self._operations.show(_queue(request), tenants=_query(request, ListQuery).tenants)

    async def _peek(self, request: Request) -> Any:
        return await self._operations.peek(_queue(request), _query(request, PeekQuery), _who(request))

    async def _pause(self, request: Request) -> Any:
        await _body(request, NoFields)
        return await self._operations.pause(_queue(request), _who(request), paused=True)

    async def _resume(self, request: Request) -> Any:
        await _body(request, NoFields)
        return await self._operations.pause(_queue(request), _who(request), paused=False)

    async def _redrive(self, request: Request) -> Any:
        return await self._operations.redrive(_queue(request), await _body(request, RedriveRequest), _who(request))

    async def _purge(self, request: Request) -> Any:
        return await self._operations.purge(_queue(request), await _body(request, PurgeRequest), _who(request))

    async def _actions(self, request: Request) -> Any:
        query = _query(request, ActionsQuery)
        return await self._operations.actions(limit=query.limit, before=query.before, queue=query.queue)

    async def _trace(self, request: Request) -> Any:
        query = _query(request, TraceQuery)
        if query.unmasked:
            named: dict[str, str] = {way: masked(value) for way, value in query.named}
            await self._operations.note(_who(request), "trace_unmasked", named)
        return await self._tracer.trace(query)


def _queue(request: Request) -> str:
    return str(request.path_params["queue"])


def _who(request: Request) -> Who:
    named = request.headers.get("x-operator", "")
    client = request.client.host if request.client is not None else ""
    # What the nearest proxy saw comes last.
    peer = request.headers.get("x-forwarded-for", client).rpartition(",")[2].strip()
    return Who(named if _NAME.fullmatch(named) else "unknown", peer[:64])


def _query(request: Request, model: type[Given]) -> Given:
    return model.model_validate(_fields(request.query_params))


def _fields(given: QueryParams) -> dict[str, Any]:
    return {name: given.getlist(name) if name in _MANY else given[name] for name in given}


async def _body(request: Request, model: type[Given]) -> Given:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _BODY_BYTES:
            raise RefusedRequestError(413, f"Request body is larger than {_BODY_BYTES} bytes")
    try:
        return model.model_validate(orjson.loads(body) if body else {})
    except orjson.JSONDecodeError as error:
        raise RefusedRequestError(400, "The request body is not JSON", (("body", str(error)),)) from error


def _json(request: Request, status: int, document: Any) -> Response:
    headers = {HEADER.decode(): request.state.request_id, "cache-control": "no-store"}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(orjson.dumps(document), status, headers, "application/json")


def _refusal(request: Request, status: int, message: str, errors: tuple[tuple[str, str], ...] = ()) -> Response:
    document: dict[str, Any] = {"message": message, "request_id": request.state.request_id}
    if errors:
        document["errors"] = [{"field": field, "message": fault} for field, fault in errors]
    return _json(request, status, document)


async def _not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _refusal(request, error.status_code, "Not found" if error.status_code == 404 else error.detail)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
