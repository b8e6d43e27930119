"""rate-limiting: so many requests of a tenant pass in a minute and in an hour of the clock, exactly.

Headers, statuses and bodies are Kong's, with the IETF's draft beside them, and Kong's choice of the window that the
headers without a unit speak of: the one of which least is left, and of equals the longer. Where Kong reads first and
counts later, so that calls at once all pass, here one owner decides. ``Retry-After`` is true where Kong's may lie: it
names the window that has to end, not the one of the other headers.

While the owner cannot decide, processes decide by what it has written down (``standing_in.py``), where Kong's
``fault_tolerant`` lets everything pass. Whoever decides has a part of the time that a request has left, and the
application the rest.

The tenant is that of jwt-auth. Who was identified by nobody, as where that plugin runs in shadow, has no limit.

Source: Kong, kong/plugins/rate-limiting/handler.lua (priority 910); draft-ietf-httpapi-ratelimit-headers-10.
"""

import math
from collections.abc import Sequence
from typing import Final

from actors.rate_limiter.decision import HOUR_S, MINUTE_S, Decision, Limits, WindowState
from actors.rate_limiter.ledger import Check
from actors.rate_limiter.way import CHECK_S
from config.plugins import RateLimitingOptions
from gateway.asgi import ASGIApp, Header, Receive, Scope, Send
from gateway.context import Identity, context_of
from gateway.limiter import Aside, Limiter
from gateway.policy import Policy
from gateway.refusal import Refusal
from gateway.standing_in import StandingIn
from kernel.errors import SpazaError
from telemetry.log import get_logger

# Of the time that a request has left.
_DECIDING: Final = 0.75
_MESSAGE: Final = "API rate limit exceeded"
_UNDECIDED: Final = Refusal(500, "An unexpected error occurred")
_log = get_logger("gateway")


class RateLimiting:
    """Lets each tenant have its limits on the route.

    Args:
        app: the rest of the chain.
        options: see there.
        policy: carries out the refusals.
        limiter: decides.
        limits: of the route, for tenants without limits of their own.
        aside: decides while the limiter cannot.
    """

    def __init__(
        self,
        app: ASGIApp,
        options: RateLimitingOptions,
        policy: Policy,
        limiter: Limiter,
        limits: Limits,
        *,
        aside: Aside | None = None,
    ) -> None:
        self._app, self._policy, self._limits = app, policy, limits
        self._limiter: Limiter = StandingIn(limiter, aside) if options.fault_tolerant else limiter
        # Who stands in has patience with the owner, and then a turn to wait for.
        self._patience_s = math.inf if options.fault_tolerant else CHECK_S
        self._alone, self._hides = options.whatever_own, options.hide_client_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request."""
        context = context_of(scope)
        identity = context.identity
        if identity is not None:
            check = Check(
                identity.tenant_id, context.route, self._limits_of(identity), correlation_id=context.correlation_id
            )
            # Who has no time left is told so, whatever its limits are.
            timeout_s = min(self._patience_s, context.remaining_s(math.inf) * _DECIDING)
            try:
                decision = await self._limiter.check(check, timeout_s=timeout_s)
            except SpazaError as error:
                _log.warning(
                    "limit_not_checked", route=context.route, error=error.code, correlation_id=context.correlation_id
                )
                if await self._policy.refuses(scope, send, _UNDECIDED):
                    return
            else:
                if not self._hides and self._policy.enforced:
                    context.answer_headers += told(decision)
                if not decision.is_allowed and await self._policy.refuses(scope, send, self._refusal(decision)):
                    return
        await self._app(scope, receive, send)

    def _limits_of(self, identity: Identity) -> Limits:
        return identity.limits.on(self._policy.route, self._limits, alone=self._alone)

    def _refusal(self, decision: Decision) -> Refusal:
        after_s = decision.retry_after_s
        headers = () if self._hides or after_s is None else ((b"retry-after", b"%d" % _seconds(after_s)),)
        return Refusal(429, _MESSAGE, headers=headers)


def told(decision: Decision) -> Sequence[Header]:
    """The headers that say how much is left."""
    minute, hour = decision.minute, decision.hour
    least = minute if minute.remaining < hour.remaining else hour
    return (
        (b"x-ratelimit-limit-minute", b"%d" % minute.limit),
        (b"x-ratelimit-remaining-minute", b"%d" % minute.remaining),
        (b"x-ratelimit-limit-hour", b"%d" % hour.limit),
        (b"x-ratelimit-remaining-hour", b"%d" % hour.remaining),
        (b"ratelimit-limit", b"%d" % least.limit),
        (b"ratelimit-remaining", b"%d" % least.remaining),
        (b"ratelimit-reset", b"%d" % _seconds(least.resets_in_s)),
        (b"ratelimit-policy", b'"minute";q=%d;w=%d, "hour";q=%d;w=%d' % (minute.limit, MINUTE_S, hour.limit, HOUR_S)),
        (b"ratelimit", b"%s, %s" % (_left(b"minute", minute), _left(b"hour", hour))),
    )


def _left(name: bytes, window: WindowState) -> bytes:
    return b'"%s";r=%d;t=%d' % (name, window.remaining, _seconds(window.resets_in_s))


def _seconds(seconds: float) -> int:
    """Whole seconds, after which it is true; at least one, as Kong says it."""
    return max(1, math.ceil(seconds))
