"""The admin API of the mailboxes over HTTP, behind the route ``mailboxes``."""

from typing import Any

from gateway.api import Endpoint
from gateway.context import RequestContext
from gateway.operations import Call
from kernel.identifiers import fingerprint
from services.admin.edge import AdminApi, who
from services.ops import operations
from services.ops.schemas import ActionsQuery, TraceQuery
from services.ops.service import MailboxOperations
from services.ops.tracing import Tracer


class OpsApp(AdminApi):
    """The ASGI application.

    Args:
        cases: the use cases.
        tracer: finds messages.
    """

    def __init__(self, cases: MailboxOperations, tracer: Tracer) -> None:
        self._cases, self._tracer = cases, tracer
        super().__init__(
            [
                Endpoint(operations.LIST, self._list),
                Endpoint(operations.ACTIONS, self._actions),
                Endpoint(operations.TRACE, self._trace),
                Endpoint(operations.SHOW, self._show),
                Endpoint(operations.PEEK, self._peek),
                Endpoint(operations.PAUSE, self._pause),
                Endpoint(operations.RESUME, self._resume),
                Endpoint(operations.REDRIVE, self._redrive),
                Endpoint(operations.PURGE, self._purge),
            ]
        )

    async def _list(self, call: Call, _context: RequestContext) -> Any:
        return await self._cases.overview(tenants=call.query.tenants)

    async def _show(self, call: Call, _context: RequestContext) -> Any:
        return await self._cases.show(call.path.queue, tenants=call.query.tenants)

    async def _peek(self, call: Call, context: RequestContext) -> Any:
        return await self._cases.peek(call.path.queue, call.query, who(context))

    async def _pause(self, call: Call, context: RequestContext) -> Any:
        return await self._cases.pause(call.path.queue, who(context), paused=True)

    async def _resume(self, call: Call, context: RequestContext) -> Any:
        return await self._cases.pause(call.path.queue, who(context), paused=False)

    async def _redrive(self, call: Call, context: RequestContext) -> Any:
        return await self._cases.redrive(call.path.queue, call.body, who(context))

    async def _purge(self, call: Call, context: RequestContext) -> Any:
        return await self._cases.purge(call.path.queue, call.body, who(context))

    async def _actions(self, call: Call, _context: RequestContext) -> Any:
        wanted: ActionsQuery = call.query
        return await self._cases.actions(limit=wanted.limit, before=wanted.before, queue=wanted.queue)

    async def _trace(self, call: Call, context: RequestContext) -> Any:
        wanted: TraceQuery = call.query
        if wanted.unmasked:
            named: dict[str, str] = {way: fingerprint(value) for way, value in wanted.named}
            await self._cases.note(who(context), "trace_unmasked", named)
        return await self._tracer.trace(wanted)
