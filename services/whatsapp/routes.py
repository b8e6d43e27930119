"""The webhook over HTTP, in raw ASGI: any framework's share of a request would cost more than the work itself.

Nothing is acknowledged before it is in the journal. What Meta signed but we cannot read is acknowledged as well, and
kept as a dead letter, for Meta would send it again for a week.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Mapping
from time import perf_counter, time
from typing import NamedTuple, Protocol
from urllib.parse import parse_qs

from actors.mailbox.message import Message
from integrations.whatsapp.signature import HEADER, verify
from kernel.errors import SpazaError
from services.correlation import HEADER as CORRELATION_HEADER
from services.correlation import correlation_id_of
from services.whatsapp.asgi import (
    TEXT,
    Answer,
    DisconnectedError,
    Receive,
    RefusedError,
    Scope,
    Send,
    read_body,
    refusal,
    send_answer,
    serve_lifespan,
    too_large,
)
from services.whatsapp.envelope import split
from services.whatsapp.errors import NotAnEnvelopeError
from services.whatsapp.ports import Publisher
from telemetry.log import get_logger
from telemetry.observing import failing_open

EXCHANGE, QUEUE = "whatsapp.messages", "whatsapp.inbound"

_SIGNATURE = HEADER.encode()
_CLOSE = (b"connection", b"close")
_ACCEPTED = Answer(200, b'{"message":"accepted"}')
_log = get_logger("webhook")


class WebhookPolicy(NamedTuple):
    """Limits of one request.

    Attributes:
        body_bytes: a larger body is refused while it is read.
        read_s: for the whole body to arrive.
        publish_s: for the journal to commit, after which Meta is asked to deliver again.
        answer_s: for everything after the body; a little longer.
        retry_after_s: what Meta is told when it is asked to deliver again, unless the journal says otherwise.
    """

    body_bytes: int = 3 * 1024 * 1024
    read_s: float = 20.0
    publish_s: float = 2.0
    answer_s: float = 2.3
    retry_after_s: int = 2


class WebhookSecrets(NamedTuple):
    """The Meta app's secret, under which it signs, and the token by which it recognises this webhook."""

    app_secret: bytes
    verify_token: bytes

    def __repr__(self) -> str:
        return "WebhookSecrets(***)"


class WebhookObserver(Protocol):
    """Watches the webhook."""

    def answered(self, status: int, seconds: float) -> None:
        """A request got its answer."""

    def dead_lettered(self, reason: str) -> None:
        """A signed body could not be read."""


_POLICY = WebhookPolicy()


class WebhookApp:
    """The ASGI application. Holds no state between requests."""

    def __init__(
        self,
        publisher: Publisher,
        secrets: WebhookSecrets,
        observer: WebhookObserver,
        *,
        policy: WebhookPolicy = _POLICY,
    ) -> None:
        self._publisher, self._secrets, self._observer, self._policy = publisher, secrets, observer, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's start and end."""
        if scope["type"] == "lifespan":
            await serve_lifespan(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = perf_counter()
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        correlation_id = correlation_id_of(headers)
        try:
            _refuse_two_signatures(scope)
            answer = await self._answer(scope, headers, receive, correlation_id)
        except DisconnectedError:
            return
        except RefusedError as error:
            answer = refusal(error, correlation_id)
        except Exception:  # noqa: BLE001 - the edge; all but 200 makes Meta deliver again, so nothing is lost by it
            _log.exception("webhook_failed", correlation_id=correlation_id)
            answer = refusal(RefusedError(500, "An unexpected error occurred"), correlation_id)
        correlation = (CORRELATION_HEADER, correlation_id.encode())
        await send_answer(send, answer, correlation, head=scope["method"] == "HEAD")
        with failing_open(_log):
            self._observer.answered(answer.status, perf_counter() - start)

    async def _answer(
        self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, correlation_id: str
    ) -> Answer:
        # Serve mounts the application: root_path is its prefix, and path holds the whole.
        if scope["path"].removeprefix(scope.get("root_path", "")) not in {"", "/"}:
            raise RefusedError(404, "Not found")
        if scope["method"] == "GET":
            return self._handshake(scope.get("query_string", b""))
        if scope["method"] != "POST":
            raise RefusedError(405, "Method not allowed", (b"allow", b"GET, POST"))
        body = await self._signed_body(headers, receive)
        await self._keep(body, correlation_id)
        return _ACCEPTED

    def _handshake(self, query: bytes) -> Answer:
        try:
            given = parse_qs(query.decode("latin-1"), keep_blank_values=True, max_num_fields=20)
        except ValueError as error:
            raise RefusedError(403, "Forbidden") from error
        mode, token, challenge = (
            given.get(name, [""])[0] for name in ("hub.mode", "hub.verify_token", "hub.challenge")
        )
        known = hmac.compare_digest(token.encode(), self._secrets.verify_token)
        if mode != "subscribe" or not known or not challenge:
            raise RefusedError(403, "Forbidden")
        return Answer(200, challenge.encode(), TEXT, ((b"x-content-type-options", b"nosniff"),))

    async def _signed_body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        limit = self._policy.body_bytes
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limit:
            raise too_large(limit)
        try:
            async with asyncio.timeout(self._policy.read_s):
                body = await read_body(receive, limit)
        except TimeoutError as error:
            raise RefusedError(408, "The request body did not arrive in time", _CLOSE) from error
        if not verify(self._secrets.app_secret, body, headers.get(_SIGNATURE)):
            raise RefusedError(401, "Signature is missing or does not match")
        return body

    async def _keep(self, body: bytes, correlation_id: str) -> None:
        try:
            async with asyncio.timeout(self._policy.answer_s):
                await self._publish(body, correlation_id, time())
        except (SpazaError, TimeoutError) as error:
            if isinstance(error, SpazaError) and not error.retryable:
                raise
            _log.warning("webhook_not_kept", correlation_id=correlation_id, error=type(error).__name__)
            after_s = getattr(error, "retry_after_s", None)
            seconds = self._policy.retry_after_s if after_s is None else max(1, round(after_s))
            raise RefusedError(503, "Not kept; deliver it again", (b"retry-after", b"%d" % seconds)) from error

    async def _publish(self, body: bytes, correlation_id: str, now: float) -> None:
        try:
            parts = split(body, correlation_id=correlation_id, received_at=now)
        except NotAnEnvelopeError as error:
            await self._dead_letter(body, error.reason, correlation_id, now)
            return
        routed: dict[str, list[Message]] = {}
        for kind, message in parts:
            routed.setdefault(f"inbound.{kind}", []).append(message)
        # All of it, or else a 503, after which Meta delivers all of it again under the same ids.
        await asyncio.gather(
            *(
                self._publisher.publish(EXCHANGE, routing_key, messages, timeout_s=self._policy.publish_s)
                for routing_key, messages in routed.items()
            )
        )

    async def _dead_letter(self, body: bytes, reason: str, correlation_id: str, now: float) -> None:
        identity = f"sha256:{hashlib.sha256(body).hexdigest()}"
        message = Message(identity, identity, "", body, {"correlation_id": correlation_id}, now)
        await self._publisher.dead_letter(QUEUE, [message], reason, timeout_s=self._policy.publish_s)
        _log.warning("webhook_dead_lettered", correlation_id=correlation_id, reason=reason, size_bytes=len(body))
        with failing_open(_log):
            self._observer.dead_lettered(reason)


def _refuse_two_signatures(scope: Scope) -> None:
    """A proxy before us and we might each believe another one."""
    if sum(name == _SIGNATURE for name, _ in scope["headers"]) > 1:
        raise RefusedError(401, "There is more than one signature")
