"""Sends the webhooks: signed as Meta signs, again and again until the callback answers 200."""

import asyncio
import hashlib
import hmac
import secrets
from typing import NamedTuple

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from cluster.sandbox.clock import Alarm, Clock
from cluster.sandbox.config import SandboxConfig
from cluster.sandbox.envelope import Update
from cluster.sandbox.knobs import Panel
from cluster.sandbox.webhook_queue import Webhook, WebhookQueue
from telemetry.log import get_logger

# The transport lets some of aiohttp's own errors through. A timeout is an OSError.
_NO_ANSWER = (httpx.HTTPError, aiohttp.ClientError, OSError)


class Attempt(NamedTuple):
    """How one attempt ended.

    Attributes:
        http_status: None where there was no answer.
        error: what hindered it; None where there was an answer.
    """

    http_status: int | None
    error: str | None


class Handshake(NamedTuple):
    """How the callback answered the verification request."""

    verified: bool
    http_status: int | None
    detail: str


def signature(app_secret: str, body: bytes) -> str:
    """The value of ``X-Hub-Signature-256``."""
    return "sha256=" + hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()


class WebhookSender:
    """Owns the queue of webhooks and the connections to the callback; at most ``Bounds.senders`` go at once.

    A lost process loses what waits, as nothing here is durable.
    """

    def __init__(self, config: SandboxConfig, panel: Panel, clock: Clock, queue: WebhookQueue) -> None:
        self._config, self._panel, self._clock, self._queue = config, panel, clock, queue
        self._alarm = Alarm(clock)
        self._slots = asyncio.Semaphore(config.bounds.senders)
        self._under_way: set[asyncio.Task[None]] = set()
        self._awaited: dict[Webhook, asyncio.Future[Attempt]] = {}
        self._full = False
        self._log = get_logger("sandbox")
        self._client = httpx.AsyncClient(
            transport=AiohttpTransport(limits=httpx.Limits(max_connections=config.bounds.senders)),
            timeout=httpx.Timeout(config.attempt_timeout_s, connect=2.0),
            headers={"user-agent": "facebookexternalua", "content-type": "application/json"},
            trust_env=False,
        )

    def offer(self, update: Update) -> bool:
        """Send an update when its turn comes. Dropped, counted and logged when the queue is full."""
        if self._config.callback_url is None:
            return False
        taken = self._queue.offer(update)
        if taken:
            self._alarm.ring()
        if taken == self._full:
            # Once for each time that it fills, not once an update.
            self._full = not taken
            event = "sandbox_webhooks_fit_again" if taken else "sandbox_webhooks_dropped"
            self._log.warning(event, limit=self._config.bounds.pending_updates, **self._queue.counts)
        return taken

    async def deliver(self, updates: list[Update]) -> Attempt | None:
        """Send updates in one webhook and wait for its first attempt; redelivered afterwards as any other.

        Returns:
            None when there is no room for it.
        """
        if self._config.callback_url is None:
            return Attempt(None, "no callback URL is set")
        webhook = self._queue.offer_webhook(updates, self._clock.now())
        if webhook is None:
            return None
        answered: asyncio.Future[Attempt] = asyncio.get_running_loop().create_future()
        self._alarm.ring()
        if self._panel.knobs.webhooks_paused:
            return Attempt(None, "webhooks are paused; it waits")
        self._awaited[webhook] = answered
        try:
            async with asyncio.timeout(2 * self._config.attempt_timeout_s):
                return await answered
        except TimeoutError:
            return Attempt(None, "it still waits for its turn")
        finally:
            self._awaited.pop(webhook, None)

    async def verify(self, verify_token: str | None = None) -> Handshake:
        """Ask the callback to prove that it is ours, as Meta does when a webhook is configured."""
        url = self._config.callback_url
        if url is None:
            return Handshake(verified=False, http_status=None, detail="no callback URL is set")
        challenge = str(secrets.randbelow(10**10))
        token = self._config.verify_token if verify_token is None else verify_token
        parameters = {"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": token}
        try:
            answer = await self._client.get(url, params=parameters)
        except _NO_ANSWER as error:
            return Handshake(verified=False, http_status=None, detail=_reason(error))
        if answer.status_code != 200:
            return Handshake(verified=False, http_status=answer.status_code, detail="the answer is not 200")
        echoed = answer.text == challenge
        detail = "the challenge came back" if echoed else "the answer is not the challenge, as raw text"
        return Handshake(verified=echoed, http_status=200, detail=detail)

    def look_again(self) -> None:
        """The knobs have changed."""
        self._alarm.ring()

    async def run(self) -> None:
        """Send for ever."""
        while True:
            await self._slots.acquire()
            webhook = await self._next()
            task = asyncio.create_task(self._send(webhook))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def aclose(self) -> None:
        """Break off what is under way and close the connections."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._client.aclose()

    def statistics(self) -> dict[str, int]:
        """What waits, and what became of the webhooks so far."""
        return {"pending_updates": self._queue.held, "under_way": len(self._under_way), **self._queue.counts}

    async def _next(self) -> Webhook:
        while True:
            webhook = self._queue.take(self._clock.now(), self._panel.knobs)
            if webhook is not None:
                return webhook
            paused = self._panel.knobs.webhooks_paused
            await self._alarm.wait(None if paused else self._queue.next_at())

    async def _send(self, webhook: Webhook) -> None:
        attempt = Attempt(None, "the sandbox is ending")
        try:
            attempt = await self._post(webhook.body)
        finally:
            self._slots.release()
            self._settle(webhook, attempt)

    async def _post(self, body: bytes) -> Attempt:
        headers = {"x-hub-signature-256": signature(self._config.app_secret, body)}
        try:
            async with asyncio.timeout(self._config.attempt_timeout_s):
                answer = await self._client.post(self._config.callback_url or "", content=body, headers=headers)
        except _NO_ANSWER as error:
            return Attempt(None, _reason(error))
        return Attempt(answer.status_code, None)

    def _settle(self, webhook: Webhook, attempt: Attempt) -> None:
        now = self._clock.now()
        again_at = self._queue.settle(webhook, attempt.http_status, now, self._panel.knobs)
        answered = self._awaited.pop(webhook, None)
        if answered is not None and not answered.done():
            answered.set_result(attempt)
        if attempt.http_status != 200:
            self._log.warning(
                "sandbox_webhook_not_delivered",
                http_status=attempt.http_status,
                error=attempt.error,
                attempts=webhook.attempts,
                updates=webhook.updates,
                again_in_s=None if again_at is None else round(again_at - now, 3),
            )
        if again_at is not None:
            self._alarm.ring()


def _reason(error: Exception) -> str:
    # The transport names every lost connection a ConnectTimeout; what it was, the cause says.
    name = type(error if error.__cause__ is None else error.__cause__).__name__
    return f"{name}: {error}" if str(error) else name
