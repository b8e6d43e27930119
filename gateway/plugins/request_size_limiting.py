"""request-size-limiting: reads the body within a limit and a time, before anybody looks at it.

Kong looks at the declared length, where there is one; here the bytes are counted as they come as well, so that a
length which is wrong is no way around the limit.

Source: Kong, kong/plugins/request-size-limiting/handler.lua.
"""

from typing import Final

from config.plugins import RequestSizeLimitingOptions
from gateway.asgi import ASGIApp, Message, Receive, Scope, Send
from gateway.context import RequestContext, context_of
from gateway.errors import DisconnectedError
from gateway.policy import Policy
from gateway.refusal import Refusal

# How many times the limit is read and thrown away before a sender is cut off: who is still sending sees no answer.
_PATIENCE: Final = 6
_CLOSE: Final = (b"connection", b"close")
_EXCEEDED: Final = "Request size limit exceeded"
_UNMEASURED: Final = Refusal(411, "A valid Content-Length header is required")
_LATE: Final = Refusal(408, "The request body did not arrive in time", headers=(_CLOSE,))


class RequestSizeLimiting:
    """Reads bodies into ``RequestContext.body``; what comes after it may read it from ``receive`` once more.

    In shadow it keeps a few times the limit, and refuses what is beyond, for nothing grows without bound.

    Args:
        app: the rest of the chain.
        options: the limit.
        policy: carries out the refusals.
    """

    def __init__(self, app: ASGIApp, options: RequestSizeLimitingOptions, policy: Policy) -> None:
        self._app, self._policy, self._needs_length = app, policy, options.require_content_length
        self._limit, self._read_s = options.limit_bytes, options.read_timeout_s
        self._kept = self._limit if policy.enforced else self._limit * _PATIENCE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read one request's body."""
        context = context_of(scope)
        declared = self._declared(context)
        if declared is not None and await self._policy.refuses(scope, send, declared):
            return
        context.allow(self._read_s, _LATE)
        size = await self._read(context, receive)
        if size > self._limit and declared is None:
            cut_off = size > self._limit * _PATIENCE
            refusal = Refusal(413, _EXCEEDED, headers=(_CLOSE,) if cut_off else ())
            if await self._policy.refuses(scope, send, refusal, always=cut_off):
                return
        left = [context.body]

        async def replayed() -> Message:
            if left:
                return {"type": "http.request", "body": left.pop(), "more_body": False}
            return await receive()

        await self._app(scope, replayed, send)

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
        while more and size <= self._limit * _PATIENCE:
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
