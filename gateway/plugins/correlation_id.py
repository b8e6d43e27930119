"""correlation-id: the caller's own id where it is a sane one, else the one of Serve or a new one.

It is on every answer, errors included, in the logs, and in what is published and called for the request.

Source: Kong, kong/plugins/correlation-id/handler.lua (priority 100001; an id that is there is kept).
"""

import re
from typing import Final

from config.plugins import CorrelationIdOptions
from gateway.asgi import ASGIApp, Receive, Scope, Send
from gateway.context import context_of
from kernel.identifiers import new_id

# It goes into logs and headers, so nothing that could break out of either. cluster/haproxy_config.py has it too.
SANE: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
# Serve and HAProxy give one to each request that comes without.
_SERVES: Final = b"x-request-id"


class CorrelationId:
    """Names each request. Refuses none.

    Args:
        app: the rest of the chain.
        options: the name of the header.
    """

    def __init__(self, app: ASGIApp, options: CorrelationIdOptions) -> None:
        self._app, self._echo = app, options.echo_downstream
        self._header = options.header_name.lower().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Name one request."""
        context = context_of(scope)
        given = context.headers.get(self._header)
        if given is None or not SANE.fullmatch(given):
            given = context.headers.get(_SERVES)
            if given is None or not SANE.fullmatch(given):
                given = new_id().encode()
        context.correlation_id = given.decode("ascii")
        if self._echo:
            context.answer_headers.append((self._header, given))
        await self._app(scope, receive, send)
