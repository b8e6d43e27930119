"""cors: which pages of other origins may call; preflights are answered here, before anybody asks who calls.

Source: Kong, kong/plugins/cors/handler.lua (priority 2000).
"""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from config.plugins import CorsOptions
from gateway.answers import answer_bytes
from gateway.asgi import ASGIApp, Header, Receive, Scope, Send
from gateway.context import RequestContext, context_of

_TEXT: Final = b"text/plain; charset=utf-8"
_VARY: Final = (b"vary", b"Origin")
_EVERYBODY: Final = (b"access-control-allow-origin", b"*")
_PLAIN: Final = re.compile(r"[A-Za-z0-9.:/-]+")
_PORTS: Final = {"http": 80, "https": 443}
_Fits = Callable[["_Origin"], bool]


class _Origin:
    """An origin without its scheme's own port."""

    def __init__(self, text: str) -> None:
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if host is None:
            self.host = self.whole = text
            return
        self.host = host
        own = port is None or port == _PORTS.get(parts.scheme)
        self.whole = f"{parts.scheme}://{host}" if own else f"{parts.scheme}://{host}:{port}"


class Cors:
    """Says who may read answers. Refuses none: that is up to the browser.

    Args:
        app: the rest of the chain.
        options: see there.
    """

    def __init__(self, app: ASGIApp, options: CorsOptions) -> None:
        self._app, self._options = app, options
        self._everybody = "*" in options.origins
        [*first] = options.origins
        self._single = first[0] if len(first) == 1 and _PLAIN.fullmatch(first[0]) else None
        self._fitting = [_fits(one) for one in options.origins if one != "*"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        context = context_of(scope)
        origin = context.headers.get(b"origin", b"").decode("latin-1")
        if scope["method"] == "OPTIONS" and origin and b"access-control-request-method" in context.headers:
            if self._options.preflight_continue:
                await self._app(scope, receive, send)
            else:
                headers = [*self._allowed(origin), *self._preflight(context)]
                await answer_bytes(scope, send, 200, b"", _TEXT, headers=headers)
            return
        if origin or self._options.allow_origin_absent:
            context.answer_headers += self._allowed(origin)
            if self._options.exposed_headers:
                exposed = ",".join(self._options.exposed_headers).encode()
                context.answer_headers.append((b"access-control-expose-headers", exposed))
        await self._app(scope, receive, send)

    def _allowed(self, origin: str) -> list[Header]:
        credentials = [(b"access-control-allow-credentials", b"true")] if self._options.credentials else []
        if self._everybody:
            if not credentials:
                return [_EVERYBODY]
            # With credentials, browsers take no star.
            return [_VARY, (_EVERYBODY[0], origin.encode("latin-1")), *credentials] if origin else [_EVERYBODY]
        if self._single is not None:
            return [_VARY, (_EVERYBODY[0], self._single.encode()), *credentials]
        if origin:
            asked = _Origin(origin)
            if any(fits(asked) for fits in self._fitting):
                return [_VARY, (_EVERYBODY[0], asked.whole.encode("latin-1")), *credentials]
        return [_VARY]

    def _preflight(self, context: RequestContext) -> list[Header]:
        options = self._options
        asked = context.headers.get(b"access-control-request-headers")
        headers: list[Header] = [(b"access-control-allow-methods", ",".join(options.methods).encode())]
        if options.headers:
            headers.append((b"access-control-allow-headers", ",".join(options.headers).encode()))
        elif asked is not None:
            headers.append((b"access-control-allow-headers", asked))
        if options.max_age is not None:
            headers.append((b"access-control-max-age", b"%d" % options.max_age))
        private = context.headers.get(b"access-control-request-private-network") == b"true"
        if options.private_network and private:
            headers.append((b"access-control-allow-private-network", b"true"))
        return headers


def _fits(declared: str) -> _Fits:
    """What is looked for: the origin itself, or a regular expression of the whole; without a colon, of the host."""
    by_host = ":" not in declared
    if _PLAIN.fullmatch(declared) is None:
        pattern = re.compile(declared.removeprefix("^").removesuffix("$"))
        return lambda asked: pattern.fullmatch(asked.host if by_host else asked.whole) is not None
    wanted = _Origin(declared)
    return lambda asked: wanted.whole == asked.whole
