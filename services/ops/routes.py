"""The admin API of the mailboxes over HTTP, behind the route ``mailboxes``."""

from typing import Any, Final

from starlette.requests import Request

from kernel.identifiers import fingerprint
from services.admin.edge import AdminApi, Endpoint, body, query, who
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

_MANY: Final = frozenset({"ids"})


class OpsApp(AdminApi):
    """The ASGI application.

    Args:
        operations: the use cases.
        tracer: finds messages.
        token: the admin token.
    """

    def __init__(self, operations: MailboxOperations, tracer: Tracer, token: bytes) -> None:
        self._operations, self._tracer = operations, tracer
        endpoints = [
            Endpoint("GET", "/", self._list),
            Endpoint("GET", "/actions", self._actions),
            Endpoint("GET", "/trace", self._trace),
            Endpoint("GET", "/{queue}", self._show),
            Endpoint("GET", "/{queue}/messages", self._peek),
            Endpoint("POST", "/{queue}/pause", self._pause),
            Endpoint("POST", "/{queue}/resume", self._resume),
            Endpoint("POST", "/{queue}/redrive", self._redrive),
            Endpoint("POST", "/{queue}/purge", self._purge),
        ]
        super().__init__(endpoints, token)

    async def _list(self, request: Request) -> Any:
        return await self._operations.overview(tenants=query(request, ListQuery).tenants)

    async def _show(self, request: Request) -> Any:
        return await self._operations.show(_queue(request), tenants=query(request, ListQuery).tenants)

    async def _peek(self, request: Request) -> Any:
        return await self._operations.peek(_queue(request), query(request, PeekQuery, many=_MANY), who(request))

    async def _pause(self, request: Request) -> Any:
        body(request, NoFields)
        return await self._operations.pause(_queue(request), who(request), paused=True)

    async def _resume(self, request: Request) -> Any:
        body(request, NoFields)
        return await self._operations.pause(_queue(request), who(request), paused=False)

    async def _redrive(self, request: Request) -> Any:
        return await self._operations.redrive(_queue(request), body(request, RedriveRequest), who(request))

    async def _purge(self, request: Request) -> Any:
        return await self._operations.purge(_queue(request), body(request, PurgeRequest), who(request))

    async def _actions(self, request: Request) -> Any:
        wanted = query(request, ActionsQuery)
        return await self._operations.actions(limit=wanted.limit, before=wanted.before, queue=wanted.queue)

    async def _trace(self, request: Request) -> Any:
        wanted = query(request, TraceQuery)
        if wanted.unmasked:
            named: dict[str, str] = {way: fingerprint(value) for way, value in wanted.named}
            await self._operations.note(who(request), "trace_unmasked", named)
        return await self._tracer.trace(wanted)


def _queue(request: Request) -> str:
    return str(request.path_params["queue"])
