"""request-size-limiting: reads the body within a limit and a time, before anybody looks at it.

Kong looks at the declared length, where there is one; here the bytes are counted as they come as well, so that a
length which is wrong is no way around the limit. Where nobody would look at a body none is waited for, for who waits
holds a place of the few that a replica has.

Source: Kong, kong/plugins/request-size-limiting/handler.lua.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from config.plugins import RequestSizeLimitingOptions
from gateway.asgi import ASGIApp, Receive, Scope, Send
from gateway.context import RequestContext, context_of
from gateway.errors import DisconnectedError
from gateway.policy import Policy
from gateway.refusal import Refusal
from gateway.replay import replaying

# How many times the limit is read and thrown away before a sender is cut off: who is still sending sees no answer.
_PATIENCE: Final = 6
_CLOSE: Final = (b"connection", b"close")
_EXCEEDED: Final = "Request size limit exceeded"
_UNMEASURED: Final = Refusal(411, "A valid Content-Length header is required")
# What tells of a request, by its head, whether its body will be looked at.
TakesBody = Callable[[Scope], bool]
_LATE: Final = Refusal(408, "The request body did not arrive in time", headers=(_CLOSE,))


class RequestSizeLimiting:
    """Reads bodies into ``RequestContext.body``; what comes after it may read it from ``receive`` once more.

    In shadow it keeps a few times the limit, and refuses what is beyond, for nothing grows without bound.

    Args:
        app: the rest of the chain.
        options: the limit.
        policy: carries out the refusals.
        takes_body: tells of which requests the body is read; the others have none, whatever they send.
    """

    def __init__(
        self, app: ASGIApp, options: RequestSizeLimitingOptions, policy: Policy, takes_body: TakesBody
    ) -> None:
        self._app, self._policy, self._needs_length = app, policy, options.require_content_length
        self._limit, self._read_s, self._pause_s = options.limit_bytes, options.read_timeout_s, options.pause_timeout_s
        self._takes_body = takes_body
        self._kept = self._limit if policy.enforced else self._limit * _PATIENCE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read one request's body."""
        context = context_of(scope)
        declared = self._declared(context)
        if declared is not None and await self._policy.refuses(scope, send, declared):
            return
        size = await self._read(context, receive) if self._takes_body(scope) else 0
        cut_off = size > self._limit * _PATIENCE
        # In shadow what was declared is noted already; what is not kept is not passed on as nothing.
        if cut_off or (size > self._limit and declared is None):
            refusal = Refusal(413, _EXCEEDED, headers=(_CLOSE,) if cut_off else ())
            if await self._policy.refuses(scope, send, refusal, always=cut_off):
                return
        await self._app(scope, replaying(context.body, receive), send)

    def _declared(self, context: RequestContext) -> Refusal | None:
        declared = context.headers.get(b"content-length")
        if declared is None or not declared.isdigit():
            unmeasured = self._needs_length and context.headers.get(b"transfer-encoding", b"").lower() != b"chunked"
            return _UNMEASURED if unmeasured else None
        if int(declared) <= self._limit:
            return None
        # Who asks before sending has sent nothing yet.
        waits = context.headers.get(b"expect", b"").strip().lower() == b"100-continue"
        return Refusal(417 if waits else 413, _EXCEEDED)

    async def _read(self, context: RequestContext, receive: Receive) -> int:
        """Read the body into the context; of one that is too large nothing is kept. Returns its size so far."""
        pieces: list[bytes] = []
        size = 0
        more = True
        now = asyncio.get_running_loop().time
        end = now() + self._read_s
        while more and size <= self._limit * _PATIENCE:
            context.allow(min(self._pause_s, end - now()), _LATE)
            event = await receive()
            if event["type"] == "http.disconnect":
                raise DisconnectedError(context.route)
            piece: bytes = event.get("body", b"")
            size += len(piece)
            if size > self._kept:
                pieces.clear()
            else:
                pieces.append(piece)
            more = event.get("more_body", False)
        context.body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return size
