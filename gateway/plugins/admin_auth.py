"""admin-auth: lets in who has the admin token, before anything of the body is read.

Kong's nearest is key-auth, whose key stands in a header of its own; here it is a bearer token, as everything else is.
It knows no shadow: a plugin that lets everybody administer has no use.
"""

import hmac
import re
from ipaddress import ip_network
from typing import Final

from gateway.answers import refuse_with
from gateway.asgi import ASGIApp, Receive, Scope, Send
from gateway.context import Operator, RequestContext, context_of
from gateway.observer import GatewayObserver
from gateway.plugins.ip_restriction import caller_of
from gateway.refusal import Refusal
from telemetry.log import get_logger
from telemetry.observing import failing_open

_PLUGIN: Final = "admin-auth"
_NAME: Final = re.compile(r"[\w.@+ -]{1,64}")
_THIS_MACHINE: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_REFUSED: Final = Refusal(
    401, "The admin token is missing or does not match", headers=((b"www-authenticate", b"Bearer"),)
)
_log = get_logger("gateway")


class AdminAuth:
    """Identifies operators. Fails closed, in constant time.

    Args:
        app: the rest of the chain.
        token: the admin token.
        observer: counts refusals.
    """

    def __init__(self, app: ASGIApp, token: bytes, observer: GatewayObserver) -> None:
        self._app, self._token, self._observer = app, token, observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at one request."""
        context = context_of(scope)
        kind, _, given = context.headers.get(b"authorization", b"").partition(b" ")
        known = hmac.compare_digest(given.strip(), self._token)
        if kind.lower() != b"bearer" or not known:
            with failing_open(_log):
                self._observer.refused(context.route, _PLUGIN, _REFUSED.status, enforced=True)
            await refuse_with(scope, send, _REFUSED)
            return
        context.operator = _operator(scope, context)
        await self._app(scope, receive, send)


def _operator(scope: Scope, context: RequestContext) -> Operator:
    """Who asks, by the header ``X-Operator``, and from where.

    That is what this process sees, and in front of it what HAProxy on this machine says. Who reaches the replica's own
    port from here would write there what he likes: so both are told.
    """
    named = context.headers.get(b"x-operator", b"").decode("latin-1")
    client = scope.get("client")
    peer, caller = client[0] if client else "", caller_of(scope, _THIS_MACHINE)
    known = caller is not None and not caller.is_loopback and str(caller) != peer
    return Operator(named if _NAME.fullmatch(named) else "unknown", f"{caller} via {peer}" if known else peer)
