"""What a merchant's limit means for its customers' messages, which Meta has signed: those over it are taken, and yield.

The limit counts messages, not requests, and is that of the merchant, whichever of its numbers they came to. Statuses
and events have none.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter
from typing import Final, NamedTuple, Protocol

from actors.mailbox.message import YIELDS, Message
from actors.rate_limiter.decision import MINUTE_S, Decision, Limits
from actors.rate_limiter.ledger import Check
from config.plugins import RateLimitingOptions
from config.routes import Route
from gateway.asgi import Header
from gateway.limited_routes import PLUGIN, limits_of
from gateway.limiter import Aside, Limiter
from gateway.plugins.rate_limiting import told
from gateway.standing_in import StandingIn
from kernel.errors import SpazaError
from services.tenants.errors import DirectoryUnavailableError
from services.tenants.tenant import Tenant
from telemetry.log import get_logger
from telemetry.observing import failing_open

# Between two counts. What is over the limit is known so much later, which does no harm: nothing is refused.
_LINGER_S: Final = 0.1
_CHECK_S: Final = 1.0
# Numbers that wait to be counted; Meta has signed each, but nobody has looked at them yet.
_NUMBERS: Final = 10_000
_log = get_logger("webhook")


class MessageLimiter(Protocol):
    """Counts."""

    async def check_all(self, checks: Sequence[Check], *, timeout_s: float) -> Sequence[Decision]:
        """A decision for each check, in order."""


class OneLimiter(MessageLimiter, Limiter, Protocol):
    """Counts one by one as well; the rate limiters' handle."""


class StoodInFor:
    """Implements ``MessageLimiter``: where the limiter cannot decide, it is decided all the same, see ``StandingIn``.

    Args:
        limiter: decides while it can.
        aside: decides while it cannot; None for nobody.
    """

    def __init__(self, limiter: Limiter, aside: Aside | None) -> None:
        self._standing = StandingIn(limiter, aside)

    async def check_all(self, checks: Sequence[Check], *, timeout_s: float) -> Sequence[Decision]:
        """A decision for each check, in order."""
        return await asyncio.gather(*(self._standing.check(check, timeout_s=timeout_s) for check in checks))


class NumbersTenants(Protocol):
    """Whose numbers these are."""

    async def by_phones(self, phone_number_ids: Collection[str]) -> Mapping[str, Tenant | None]:
        """None for a number that is nobody's."""


class LimitObserver(Protocol):
    """Watches."""

    def over_limit(self, messages: int, *, enforced: bool) -> None:
        """So many messages were over their merchant's limit."""

    def not_counted(self, messages: int) -> None:
        """So many could not be counted."""


class Admitted(NamedTuple):
    """What becomes of some messages.

    Attributes:
        messages: to be published, in order.
        retry_after_s: None where these are all; else the others have to come again after so many seconds.
        told: headers that say how much is left to the merchant who has to wait longest.
    """

    messages: Sequence[Message]
    retry_after_s: int | None = None
    told: Sequence[Header] = ()


class MessageLimits(Protocol):
    """Decides about the messages of one POST."""

    async def admit(self, messages: Sequence[Message]) -> Admitted:
        """What is to be published now.

        Raises:
            SpazaError: that is not known now, and passing is not wanted then.
        """


class LimitParts(NamedTuple):
    """What message limits stand on.

    Attributes:
        limiter: counts.
        tenants: finds whose a number is.
        observer: watches.
        route: under which it is counted.
        limits: of merchants without limits of their own.
        enforced: whether a limit has an effect, or is in shadow.
        tolerant: whether messages pass that cannot be counted; else Meta is to send them again.
        tells: whether who is refused is told how much is left.
    """

    limiter: MessageLimiter
    tenants: NumbersTenants
    observer: LimitObserver
    route: str
    limits: Limits
    enforced: bool = True
    tolerant: bool = True
    tells: bool = True


class _Counted(NamedTuple):
    """How many messages of a number are within its merchant's limit, and what was decided about them."""

    number: str
    messages: int
    within: int
    decision: Decision


class _Counting:
    def __init__(self, parts: LimitParts) -> None:
        self.parts = parts

    async def count(self, by_number: Mapping[str, int], *, partly: bool) -> list[_Counted]:
        """Count messages by number; those of which it cannot be done now are left out."""
        parts = self.parts
        try:
            tenants = await parts.tenants.by_phones(by_number)
        except DirectoryUnavailableError as error:
            if not parts.tolerant:
                raise
            tenants = error.found
        known = [(number, tenant) for number in by_number if (tenant := tenants.get(number)) is not None]
        checks = [
            Check(
                tenant.tenant_id,
                parts.route,
                tenant.limits.on(parts.route, parts.limits),
                by_number[number],
                partly,
            )
            for number, tenant in known
        ]
        if not partly:
            # Of more than a whole limit at once the whole is asked for, or it would never be within.
            checks = [check._replace(cost=min(check.cost, *check.limits)) for check in checks]
        counted: list[_Counted] = []
        try:
            decisions = await parts.limiter.check_all(checks, timeout_s=_CHECK_S) if checks else []
            counted = [
                _Counted(
                    number,
                    by_number[number],
                    by_number[number] if decision.is_allowed else decision.admitted,
                    decision,
                )
                for (number, _), decision in zip(known, decisions, strict=True)
            ]
        except SpazaError as error:
            if not parts.tolerant:
                raise
            _log.warning("messages_not_counted", error=error.code, messages=sum(by_number.values()))
        missing = sum(by_number.values()) - sum(one.messages for one in counted)
        missing -= sum(by_number[number] for number in by_number if tenants.get(number, "") is None)
        over = sum(one.messages - one.within for one in counted)
        with failing_open(_log):
            parts.observer.not_counted(missing)
            parts.observer.over_limit(over, enforced=parts.enforced)
        return counted


class DeferringLimits:
    """``on_limit: defer``. Waits for nobody: counts in the background, and marks what comes while a limit is used up.

    A marked message goes after those of other merchants in its mailbox, and at once where none waits. For one event
    loop; what is not counted yet is lost with the process, and so are the marks to come.
    """

    def __init__(self, parts: LimitParts, *, linger_s: float = _LINGER_S) -> None:
        # Nobody waits for the count, so there is nobody to be told that it failed.
        self._counting, self._linger_s = _Counting(parts._replace(tolerant=True)), linger_s
        self._waiting: Counter[str] = Counter()
        self._over_until: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    async def admit(self, messages: Sequence[Message]) -> Admitted:
        """All of them, at once."""
        loop = asyncio.get_running_loop()
        for message in messages:
            if message.tenant in self._waiting or (message.tenant and len(self._waiting) < _NUMBERS):
                self._waiting[message.tenant] += 1
        if self._task is None and self._waiting:
            self._task = loop.create_task(self._count())
        if not self._over_until or not self._counting.parts.enforced:
            return Admitted(messages)
        now = loop.time()
        return Admitted([_yielding(one) if self._over_until.get(one.tenant, now) > now else one for one in messages])

    async def _count(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                await asyncio.sleep(self._linger_s)
                waiting, self._waiting = self._waiting, Counter()
                counted = await self._count_or_go_on(waiting)
                now = loop.time()
                self._over_until = {number: until for number, until in self._over_until.items() if until > now}
                for one in counted:
                    self._note(one, now)
        finally:
            self._task = None

    async def _count_or_go_on(self, waiting: Counter[str]) -> list[_Counted]:
        try:
            return await self._counting.count(waiting, partly=True)
        except Exception:  # noqa: BLE001 - whatever it was, what comes is to be taken, and counted again
            _log.exception("message_limits_raised", messages=waiting.total())
            with failing_open(_log):
                self._counting.parts.observer.not_counted(waiting.total())
            return []

    def _note(self, counted: _Counted, now: float) -> None:
        if counted.within == counted.messages:  # the limit may have been raised
            self._over_until.pop(counted.number, None)
            return
        # Of more than a whole limit at once the rest is over it until the next minute, at least.
        after_s = counted.decision.retry_after_s
        lasts_s = MINUTE_S if after_s is None else after_s
        self._over_until[counted.number] = now + lasts_s


class RejectingLimits:
    """``on_limit: reject``. Waits for the count; merchants over their limit are to be sent again by Meta.

    Messages of other merchants in the same POST are taken; Meta sends them again with it, and they are known then. All
    messages of a number in one POST are within the limit, or none is.
    """

    def __init__(self, parts: LimitParts) -> None:
        self._counting = _Counting(parts)

    async def admit(self, messages: Sequence[Message]) -> Admitted:
        """Those that are within the limits, or cannot be counted."""
        by_number = Counter(message.tenant for message in messages if message.tenant)
        if not by_number:
            return Admitted(messages)
        counted = await self._counting.count(by_number, partly=False)
        parts = self._counting.parts
        over = {one.number: one.decision for one in counted if one.within < one.messages}
        if not over or not parts.enforced:
            return Admitted(messages)
        after_s, latest = max(
            ((one.retry_after_s, one) for one in over.values() if one.retry_after_s is not None), key=itemgetter(0)
        )
        kept = [one for one in messages if one.tenant not in over]
        return Admitted(kept, max(1, math.ceil(after_s)), told(latest) if parts.tells else ())


def message_limits(
    route: Route,
    platform: Limits,
    limiter: OneLimiter,
    tenants: NumbersTenants,
    observer: LimitObserver,
    *,
    aside: Aside | None = None,
) -> MessageLimits | None:
    """What decides about messages over a limit, as the route wants it; None where it has no limits.

    Args:
        route: of the webhook.
        platform: limits of merchants, where neither they nor the route have any.
        limiter: counts.
        tenants: finds whose a number is.
        observer: watches.
        aside: decides while the limiter cannot, where messages are rejected.
    """
    if PLUGIN not in route.plugins:
        return None
    options = route.options(PLUGIN, RateLimitingOptions())
    parts = LimitParts(
        limiter,
        tenants,
        observer,
        route.name,
        limits_of(route, platform),
        enforced=options.mode == "enforce",
        tolerant=options.fault_tolerant,
        tells=not options.hide_client_headers,
    )
    if options.on_limit == "defer":
        return DeferringLimits(parts)
    return RejectingLimits(parts._replace(limiter=StoodInFor(limiter, aside)) if options.fault_tolerant else parts)


def _yielding(message: Message) -> Message:
    return message._replace(headers={**message.headers, YIELDS: 1})
