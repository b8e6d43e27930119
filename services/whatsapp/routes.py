"""The webhook over HTTP, behind a chain, in raw ASGI: any framework's share would cost more than the work itself.

Nothing is acknowledged before it is in the journal. What Meta signed but we cannot read is acknowledged as well, and
kept as a dead letter, for Meta would send it again for a week.
"""

import asyncio
import hashlib
import hmac
from time import time
from typing import Final, NamedTuple, Protocol
from urllib.parse import parse_qs

from actors.mailbox.message import Message
from gateway.answers import JSON, answer_bytes, refuse, refuse_with
from gateway.asgi import Receive, Scope, Send
from gateway.context import RequestContext, context_of
from gateway.errors import DeadlineExceededError
from gateway.refusal import Refusal
from kernel.errors import SpazaError
from services.whatsapp.envelope import split
from services.whatsapp.errors import NotAnEnvelopeError
from services.whatsapp.message_limits import MessageLimits
from services.whatsapp.ports import Publisher
from telemetry.log import get_logger
from telemetry.observing import failing_open

EXCHANGE, QUEUE = "whatsapp.messages", "whatsapp.inbound"

_MESSAGES: Final = "inbound.message"
_ACCEPTED: Final = b'{"message":"accepted"}'
_TEXT: Final = b"text/plain; charset=utf-8"
_NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
_log = get_logger("webhook")


class WebhookPolicy(NamedTuple):
    """Limits of one request.

    Attributes:
        publish_s: for the journal to commit, after which Meta is asked to deliver again.
        least_s: under which publishing is not begun: it would be kept, answered 503, and delivered again.
        answer_s: for everything after the body; a little longer.
        retry_after_s: what Meta is told when it is asked to deliver again, unless the journal says otherwise.
    """

    publish_s: float = 2.0
    least_s: float = 0.02
    answer_s: float = 2.3
    retry_after_s: int = 2


class WebhookObserver(Protocol):
    """Watches the webhook."""

    def dead_lettered(self, reason: str) -> None:
        """A signed body could not be read."""


_POLICY = WebhookPolicy()


class WebhookApp:
    """The ASGI application behind the chain, which has read and verified the body. Holds no state between requests.

    Args:
        publisher: keeps messages.
        verify_token: by which Meta recognises this webhook.
        observer: is told of what could not be read.
        policy: see there.
        limits: decide about messages over their merchant's; None where there are none.
    """

    def __init__(
        self,
        publisher: Publisher,
        verify_token: bytes,
        observer: WebhookObserver,
        *,
        policy: WebhookPolicy = _POLICY,
        limits: MessageLimits | None = None,
    ) -> None:
        self._publisher, self._verify_token, self._observer, self._policy = publisher, verify_token, observer, policy
        self._limits = limits

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Serve one request."""
        context = context_of(scope)
        if context.path:
            await refuse(scope, send, 404, "Not found")
        elif scope["method"] == "POST":
            await self._take(scope, send, context)
        elif scope["method"] == "GET":
            await self._shake_hands(scope, send)
        else:
            await refuse(scope, send, 405, "Method not allowed", headers=((b"allow", b"GET, POST"),))

    async def _shake_hands(self, scope: Scope, send: Send) -> None:
        challenge = self._challenge(scope.get("query_string", b""))
        if challenge:
            await answer_bytes(scope, send, 200, challenge.encode(), _TEXT, headers=(_NOSNIFF,))
        else:
            await refuse(scope, send, 403, "Forbidden")

    def _challenge(self, query: bytes) -> str:
        """What is to be answered to who knows the token; else nothing."""
        try:
            given = parse_qs(query.decode("latin-1"), keep_blank_values=True, max_num_fields=20)
        except ValueError:
            return ""
        mode, token, challenge = (
            given.get(name, [""])[0] for name in ("hub.mode", "hub.verify_token", "hub.challenge")
        )
        known = hmac.compare_digest(token.encode(), self._verify_token)
        return challenge if mode == "subscribe" and known else ""

    async def _take(self, scope: Scope, send: Send, context: RequestContext) -> None:
        late = _not_kept(self._policy.retry_after_s)
        try:
            context.allow(context.remaining_s(self._policy.answer_s), late)
            refusal = await self._publish(context, time())
        except (SpazaError, TimeoutError) as error:
            if isinstance(error, SpazaError) and not (error.retryable or isinstance(error, DeadlineExceededError)):
                raise
            _log.warning("webhook_not_kept", correlation_id=context.correlation_id, error=type(error).__name__)
            after_s = getattr(error, "retry_after_s", None)
            await refuse_with(scope, send, late if after_s is None else _not_kept(max(1, round(after_s))))
            return
        if refusal is None:
            await answer_bytes(scope, send, 200, _ACCEPTED, JSON)
        else:
            await refuse_with(scope, send, refusal)

    async def _publish(self, context: RequestContext, now: float) -> Refusal | None:
        """Keep what may be kept; returns what has the rest come again, if there is any."""
        timeout_s = context.remaining_s(self._policy.publish_s, least=self._policy.least_s)
        try:
            parts = split(context.body, correlation_id=context.correlation_id, received_at=now)
        except NotAnEnvelopeError as error:
            await self._dead_letter(context, error.reason, now, timeout_s)
            return None
        routed: dict[str, list[Message]] = {}
        for kind, message in parts:
            routed.setdefault(f"inbound.{kind}", []).append(message)
        refusal = await self._limited(routed)
        # All of it, or else a 503, after which Meta delivers all of it again under the same ids; until then those wait
        # that were refused, and no others: they are kept before it is answered.
        results = await asyncio.gather(
            *(
                self._publisher.publish(EXCHANGE, routing_key, messages, timeout_s=timeout_s)
                for routing_key, messages in routed.items()
            ),
            return_exceptions=True,
        )
        for result in results:
            if result is not None:
                raise result
        return refusal

    async def _limited(self, routed: dict[str, list[Message]]) -> Refusal | None:
        """Leave out what its merchant's limit keeps back; returns as ``_publish``."""
        if self._limits is None or _MESSAGES not in routed:
            return None
        admitted = await self._limits.admit(routed.pop(_MESSAGES))
        if admitted.messages:
            routed[_MESSAGES] = [*admitted.messages]
        if admitted.retry_after_s is None:
            return None
        headers = ((b"retry-after", b"%d" % admitted.retry_after_s), *admitted.told)
        return Refusal(429, "API rate limit exceeded", headers=headers)

    async def _dead_letter(self, context: RequestContext, reason: str, now: float, timeout_s: float) -> None:
        body, correlation_id = context.body, context.correlation_id
        identity = f"sha256:{hashlib.sha256(body).hexdigest()}"
        message = Message(identity, identity, "", body, {"correlation_id": correlation_id}, now)
        await self._publisher.dead_letter(QUEUE, [message], reason, timeout_s=timeout_s)
        _log.warning("webhook_dead_lettered", correlation_id=correlation_id, reason=reason, size_bytes=len(body))
        with failing_open(_log):
            self._observer.dead_lettered(reason)


def _not_kept(retry_after_s: int) -> Refusal:
    return Refusal(503, "Not kept; deliver it again", headers=((b"retry-after", b"%d" % retry_after_s),))
