"""A tenant's part of a replica's room, so that one whose shard or table is stuck does not hold all of it.

While a tenant's requests end, it may have any number under way. When none has ended for a moment, those beyond its part
are answered at once, and so is what comes until one has ended: they only wait in the way of others.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gateway.asgi import ASGIApp, Receive, Scope, Send
from gateway.context import RequestContext, context_of
from gateway.errors import CrowdedError
from kernel.errors import SpazaError

_PATIENCE_S: Final = 2.0
# In which that is looked at, so that a process that stood still does not take it for its requests' silence.
_LOOKS: Final = 4


class Share:
    """Stands before an application whose requests wait for a tenant's shard. For one event loop.

    Args:
        app: serves what gets through.
        at_most: requests of a tenant that may be under way while none of them ends.
        patience_s: for which none has to have ended.
    """

    def __init__(self, app: ASGIApp, at_most: int, *, patience_s: float = _PATIENCE_S) -> None:
        self._app, self._at_most, self._patience_s = app, at_most, patience_s
        # Of tenants with a request under way, and of those that were stuck when their last one ended.
        self._parties: dict[str, _Party] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        context = context_of(scope)
        if context.identity is None:
            await self._app(scope, receive, send)
            return
        tenant_id = context.identity.tenant_id
        party = self._parties.setdefault(tenant_id, _Party(context.route, self._at_most, self._patience_s))
        try:
            with party.one_more():
                await self._served(party, context, scope, receive, send)
        finally:
            if party.is_forgettable:
                self._parties.pop(tenant_id, None)

    async def _served(
        self, party: "_Party", context: RequestContext, scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            async with asyncio.timeout(None) as limit:
                with party.watched(limit, context):
                    await self._app(scope, receive, send)
        except TimeoutError:
            if not limit.expired():
                raise
            raise CrowdedError(context.route) from None


class _Party:
    """The requests of one tenant."""

    def __init__(self, route: str, at_most: int, patience_s: float) -> None:
        self._route, self._at_most, self._patience_s = route, at_most, patience_s
        self._loop = asyncio.get_running_loop()
        self._under_way = 0
        # Those beyond the part, which are let go of.
        self._beyond: dict[asyncio.Timeout, RequestContext] = {}
        self._is_stuck = False
        # Since one ended, or the part was full for the first time after that.
        self._looks = 0
        self._look: asyncio.TimerHandle | None = None

    @property
    def is_forgettable(self) -> bool:
        return not self._under_way and not self._is_stuck

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Counts a request.

        Raises:
            CrowdedError: there are enough that do not end.
        """
        if self._under_way >= self._at_most and self._is_stuck:
            raise CrowdedError(self._route)
        self._under_way += 1
        try:
            yield
        except SpazaError as error:
            if error.http_status < 500:
                self._ended()
            raise
        else:
            self._ended()
        finally:
            self._under_way -= 1

    @contextmanager
    def watched(self, limit: asyncio.Timeout, context: RequestContext) -> Iterator[None]:
        """Lets go of a request by its limit, if it is beyond the part and none ends."""
        if self._under_way <= self._at_most:
            yield
            return
        self._beyond[limit] = context
        if self._look is None:
            self._looks = 0
            self._look_soon()
        try:
            yield
        finally:
            self._beyond.pop(limit, None)
            if not self._beyond and self._look is not None:
                self._look.cancel()
                self._look = None

    def _ended(self) -> None:
        self._looks, self._is_stuck = 0, False

    def _look_soon(self) -> None:
        self._look = self._loop.call_later(self._patience_s / _LOOKS, self._looked)

    def _looked(self) -> None:
        self._looks += 1
        if self._looks < _LOOKS:
            self._look_soon()
            return
        self._look, self._is_stuck = None, True
        for limit, context in self._beyond.items():
            # An answer that has begun is not taken back.
            if context.status is None:
                limit.reschedule(self._loop.time())
