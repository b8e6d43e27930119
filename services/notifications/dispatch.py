"""Sending a batch: many at once up to a bound, those of one conversation one after the other."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from actors.mailbox.message import Outcome, retry_after
from integrations.whatsapp.errors import DoubtfulSendError, WhatsAppError
from services.notifications.pauses import Pauses
from services.notifications.ports import Sender
from services.notifications.retry import Failure, RetryPolicy, Scope, failure_of, scope_of
from services.outgoing.message import Outgoing
from telemetry.log import correlation_ids, get_logger

_log = get_logger("notifier")


class DispatchPolicy(NamedTuple):
    """Bounds of sending.

    Attributes:
        concurrency: sends under way in this process at most.
        send_s: for one send, all its parts together.
    """

    concurrency: int = 64
    send_s: float = 12.0


class Sent(NamedTuple):
    """A message that Meta accepted."""

    wamid: str


Result = Sent | Failure
_POLICY, _RETRY = DispatchPolicy(), RetryPolicy()


class Dispatcher:
    """Sends batches; its bound holds over all of them. For one event loop."""

    def __init__(
        self,
        sender: Sender,
        random_unit: Callable[[], float],
        *,
        policy: DispatchPolicy = _POLICY,
        retry: RetryPolicy = _RETRY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Send nothing yet.

        Args:
            sender: the Graph API.
            random_unit: gives numbers from 0 to 1, such as ``random.random``.
            policy: bounds of sending.
            retry: how failed sends come again.
            clock: seconds that only go up.
        """
        self._sender, self._random, self._policy, self._retry = sender, random_unit, policy, retry
        self._clock, self._pauses = clock, Pauses()
        self._turns = asyncio.Semaphore(policy.concurrency)

    async def send(
        self, messages: Sequence[Outgoing], tokens: Mapping[str, str], *, no_more_after: float
    ) -> dict[int, Result]:
        """Send messages, each at most once.

        Args:
            messages: marked already.
            tokens: access token by phone_number_id.
            no_more_after: by the clock; no further send is begun then.

        Returns:
            A result for each, by its place.
        """
        lines: dict[str, list[Outgoing]] = {}
        for message in messages:
            lines.setdefault(message.delivery.message.key, []).append(message)
        run = _Run(no_more_after)
        await asyncio.gather(*(self._send_line(line, tokens, run) for line in lines.values()))
        return run.results

    async def _send_line(self, line: Sequence[Outgoing], tokens: Mapping[str, str], run: "_Run") -> None:
        before: Outcome | None = None
        for message in line:
            result = _held_back(before) if before is not None else await self._send_one(message, tokens, run)
            run.results[message.place] = result
            if isinstance(result, Failure) and result.outcome.comes_again:
                before = result.outcome

    async def _send_one(self, message: Outgoing, tokens: Mapping[str, str], run: "_Run") -> Result:
        number = message.phone_number_id
        async with self._turns:
            held = run.refused.get(number) or self._held(message, run)
            if held is not None:
                return held
            try:
                async with asyncio.timeout(self._policy.send_s):
                    followed = str(message.delivery.message.headers.get("correlation_id", ""))
                    payload = message.graph_payload()
                    sent = await self._sender.send(number, tokens[number], payload, correlation_id=followed)
            except TimeoutError:
                return self._fail(DoubtfulSendError("timeout"), message, run)
            except WhatsAppError as error:
                return self._fail(error, message, run)
            except Exception as error:  # noqa: BLE001
                # One message's fault, and not its batch's, whose other sends are under way.
                _log.exception(
                    "send_failed_unexpectedly",
                    tenant_id=message.tenant_id,
                    message_id=message.id,
                    correlation_ids=correlation_ids([message.delivery.message.headers]),
                )
                return self._fail(DoubtfulSendError(type(error).__name__), message, run)
        self._pauses.passed(_scopes(message).values())
        return Sent(sent.wamid)

    def _held(self, message: Outgoing, run: "_Run") -> Failure | None:
        """Why it is not sent now: there is no time left for it, or it would fail as others just did."""
        now = self._clock()
        if now >= run.no_more_after:
            return _postponed(0.0, "no_time_left")
        left_s = self._pauses.left_s(_scopes(message).values(), now)
        return _postponed(left_s, "paused") if left_s > 0 else None

    def _fail(self, error: WhatsAppError, message: Outgoing, run: "_Run") -> Failure:
        scope, now = scope_of(error), self._clock()
        key = _scopes(message).get(scope)
        times = message.delivery.retries + 1 if key is None else self._pauses.failed(key, now)
        failure = failure_of(error, times, self._random(), self._retry)
        if key is not None and failure.outcome.comes_again:
            self._pauses.hold(key, times, now + failure.outcome.delay_s)
        elif scope is Scope.NUMBER:
            # The rest of this number's messages would be refused as well.
            run.refused[message.phone_number_id] = failure
        return failure


class _Run:
    """What is known of one batch while it is sent."""

    def __init__(self, no_more_after: float) -> None:
        self.no_more_after = no_more_after
        self.results: dict[int, Result] = {}
        self.refused: dict[str, Failure] = {}


def _scopes(message: Outgoing) -> Mapping[Scope, str]:
    """The keys of what may be paused around a message."""
    number = message.phone_number_id
    return {
        Scope.PAIR: f"{number}:{'|'.join(message.recipient.values())}", Scope.NUMBER: number, Scope.GRAPH: "",
    }  # fmt: skip


def _held_back(before: Outcome) -> Failure:
    return _postponed(before.delay_s, "after_another")


def _postponed(delay_s: float, reason: str) -> Failure:
    return Failure(retry_after(delay_s, reason), "postponed", sent_for_certain_not=True)
