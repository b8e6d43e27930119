"""hmac-auth: lets in bodies that Meta has signed under the app's secret.

Meta's ``X-Hub-Signature-256`` is another scheme than Kong's own ``Authorization: hmac ...``, which is left out, for
nobody calls with it. The words are Kong's. Several secrets hold at once, so that one can be replaced without losing a
webhook.

Source: Kong, kong/plugins/hmac-auth/access.lua (priority 1030), and ``integrations/whatsapp/signature.py``.
"""

from collections.abc import Sequence
from typing import Final

from config.plugins import HmacAuthOptions
from gateway.asgi import ASGIApp, Receive, Scope, Send
from gateway.context import RequestContext, context_of
from gateway.policy import Policy
from gateway.refusal import Refusal
from integrations.whatsapp.signature import HEADER, verify

_SIGNATURE: Final = HEADER.encode()
_UNSIGNED: Final = Refusal(401, "Unauthorized")
_FORGED: Final = Refusal(401, "HMAC signature does not match")
# A proxy before us and we might each believe another one.
_TWO: Final = Refusal(401, "There is more than one HMAC signature")


class HmacAuth:
    """Refuses what is not signed. Fails closed, in constant time.

    Args:
        app: the rest of the chain.
        options: which methods have to be signed.
        policy: carries out the refusals.
        secrets: any of which may have signed.
    """

    def __init__(self, app: ASGIApp, options: HmacAuthOptions, policy: Policy, secrets: Sequence[bytes]) -> None:
        self._app, self._methods, self._policy = app, frozenset(options.methods), policy
        self._secrets = tuple(secrets)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at one request."""
        if scope["method"] in self._methods:
            refusal = self._decide(scope, context_of(scope))
            if refusal is not None and await self._policy.refuses(scope, send, refusal):
                return
        await self._app(scope, receive, send)

    def _decide(self, scope: Scope, context: RequestContext) -> Refusal | None:
        signature = context.headers.get(_SIGNATURE)
        if signature is None:
            return _UNSIGNED
        if sum(name == _SIGNATURE for name, _ in scope["headers"]) > 1:
            return _TWO
        # All of them, so that the time does not tell which one it was.
        signed = [verify(secret, context.body, signature) for secret in self._secrets]
        return None if any(signed) else _FORGED
