"""The time of a route: a deadline that every hop is given, and 504 at the edge."""

import asyncio

from gateway.asgi import ASGIApp, Receive, Scope, Send
from gateway.context import context_of
from gateway.errors import DeadlineExceededError


class Deadline:
    """Ends what has not begun to answer within the route's time.

    It runs from when the body is there, as Envoy's does, so that a slow sender does not take it from the work.

    Args:
        app: the rest of the chain.
        timeout_s: of the route.
    """

    def __init__(self, app: ASGIApp, timeout_s: float) -> None:
        self._app, self._timeout_s = app, timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request within the time."""
        context = context_of(scope)
        context.deadline = asyncio.get_running_loop().time() + self._timeout_s
        timer = context.timer = asyncio.timeout_at(context.deadline)
        try:
            async with timer:
                await self._app(scope, receive, send)
        except TimeoutError as error:
            if not timer.expired():
                raise
            raise DeadlineExceededError(context.route) from error
        finally:
            context.timer = None
