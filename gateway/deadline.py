"""The time of a route: a deadline that every hop is given, and 504 at the edge."""

from typing import Final

from gateway.asgi import ASGIApp, Receive, Scope, Send
from gateway.context import context_of
from gateway.refusal import Refusal

_OVER: Final = Refusal(504, "Not answered in time; the request may have been carried out")


class Deadline:
    """Gives what comes after it the route's time to begin an answer.

    It runs from when the body is there, as Envoy's does, so that a slow sender does not take it from the work.

    Args:
        app: the rest of the chain.
        timeout_s: of the route.
    """

    def __init__(self, app: ASGIApp, timeout_s: float) -> None:
        self._app, self._timeout_s = app, timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request within the time."""
        context_of(scope).allow(self._timeout_s, _OVER)
        await self._app(scope, receive, send)
