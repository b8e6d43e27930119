"""The edge of an admin API, behind a chain: lets in who has the admin token, reads requests, and answers in JSON."""

import hmac
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.context import context_of
from gateway.faults import faults_of
from kernel.errors import SpazaError
from services.admin.actions import Who
from services.admin.errors import RefusedRequestError
from telemetry.log import get_logger

_NAME: Final = re.compile(r"[\w.@+ -]{1,64}")
_RETRY_AFTER_S: Final = "2"
_NOT_ROUTED: Final = {404: "Not found", 405: "Method not allowed"}
_log = get_logger("admin")
Given = TypeVar("Given", bound=BaseModel)


class Answer(NamedTuple):
    """What a handler answers, where it is more than a document."""

    status: int
    document: Any


Handler = Callable[[Request], Awaitable[Any]]


class Endpoint(NamedTuple):
    """A handler below the API's prefix; it returns a document, an ``Answer`` or a ``Response``."""

    method: str
    path: str
    handler: Handler


class AdminApi:
    """The ASGI application of one admin API.

    Args:
        endpoints: in the order in which they are tried.
        token: the admin token.
    """

    def __init__(self, endpoints: Sequence[Endpoint], token: bytes) -> None:
        self._token = token
        self._router: ASGIApp = Starlette(
            routes=[Route(one.path, self._handled(one.handler), methods=[one.method]) for one in endpoints],
            exception_handlers={HTTPException: _not_routed},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's start and end."""
        if scope["type"] == "http":
            # Serve mounts the application: root_path is its prefix, and path holds the whole.
            path = scope["path"].removeprefix(scope.get("root_path", "")).rstrip("/")
            scope = {**scope, "root_path": "", "path": path or "/", "raw_path": (path or "/").encode()}
        await self._router(scope, receive, send)

    def _handled(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            try:
                self._let_in(request)
                given = await handler(request)
                if isinstance(given, Response):
                    return given
                answer = given if isinstance(given, Answer) else Answer(200, given)
                return _json(answer.status, answer.document)
            except ValidationError as error:
                return _refusal(request, 422, "The request is not valid", faults_of(error))
            except RefusedRequestError as error:
                return _refusal(request, error.status, error.message, error.errors)
            except SpazaError as error:
                refusal = _refusal(request, error.http_status, _sentence(str(error)))
                if error.retryable:
                    refusal.headers["retry-after"] = _RETRY_AFTER_S
                return refusal
            except Exception:  # noqa: BLE001 - the edge
                _log.exception("admin_request_failed", request_id=_request_id(request))
                return _refusal(request, 500, "An unexpected error occurred")

        return handle

    def _let_in(self, request: Request) -> None:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        known = hmac.compare_digest(given.strip().encode(), self._token)
        if kind.lower() != "bearer" or not known:
            raise RefusedRequestError(401, "The admin token is missing or does not match")


def who(request: Request) -> Who:
    """Who asks, by the header ``X-Operator``, and from where as far as this process sees it.

    No header is believed in this, for who reaches the replica's own port would write what he likes.
    """
    named = request.headers.get("x-operator", "")
    peer = request.client.host if request.client is not None else ""
    return Who(named if _NAME.fullmatch(named) else "unknown", peer)


def query(request: Request, model: type[Given], *, many: frozenset[str] = frozenset()) -> Given:
    """The query's parameters; of those in ``many`` all, of the others the last.

    Raises:
        ValidationError: they are not right.
    """
    given: QueryParams = request.query_params
    return model.model_validate({name: given.getlist(name) if name in many else given[name] for name in given})


def body(request: Request, model: type[Given]) -> Given:
    """The body; none is an object without fields.

    Raises:
        RefusedRequestError: it is not JSON.
        ValidationError: it is not right.
    """
    read = context_of(request.scope).body
    try:
        return model.model_validate(orjson.loads(read) if read else {})
    except orjson.JSONDecodeError as error:
        raise RefusedRequestError(400, "The request body is not JSON", (("body", str(error)),)) from error


def _json(status: int, document: Any) -> Response:
    headers = {"cache-control": "no-store"}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(orjson.dumps(document), status, headers, "application/json")


def _refusal(request: Request, status: int, message: str, errors: tuple[tuple[str, str], ...] = ()) -> Response:
    document: dict[str, Any] = {"message": message, "request_id": _request_id(request)}
    if errors:
        document["errors"] = [{"field": field, "message": fault} for field, fault in errors]
    return _json(status, document)


async def _not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refusal = _refusal(request, error.status_code, _NOT_ROUTED.get(error.status_code, error.detail))
    # Which methods a path has.
    refusal.headers.update(error.headers or {})
    return refusal


def _request_id(request: Request) -> str:
    return context_of(request.scope).correlation_id


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
