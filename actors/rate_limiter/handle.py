"""The way to the rate limiters, by their doors or through Ray; all of its ``.remote()`` is here."""

import asyncio
import pickle
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import ray
from ray.exceptions import PendingCallsLimitExceeded, RayActorError, RayError

from actors.doors.doors import Address, Doors
from actors.rate_limiter.actor import WireAnswer
from actors.rate_limiter.coalescing import CallLimits
from actors.rate_limiter.decision import Decision, Resets, decided
from actors.rate_limiter.errors import LimiterOverloadedError, LimiterUnavailableError
from actors.rate_limiter.ledger import Check
from actors.rate_limiter.placement import owner_of
from actors.rate_limiter.refusals import Refusals
from actors.rate_limiter.way import CHECK_S, Way
from telemetry.log import few, get_logger

NAMESPACE: Final = "spaza"
FAMILY: Final = "rate_limiter:"
# A call is given up after this; who waits for it has less patience.
_CALL_S: Final = 5.0
_STATISTICS_S: Final = 2.0
_log = get_logger("rate_limiter")


def actor_name(number: int) -> str:
    """The Ray name of a limiter."""
    return f"{FAMILY}{number}"


class RateLimiterHandle:
    """Asks the owners, with what is asked at once in one call to each.

    One for each process and event loop. What was refused is refused again here, without a call, until its window ends.
    An owner that has died is asked again until its successor answers; one that has not answered in time is left alone
    for a moment, so that it costs not each caller its patience. What was asked and not answered may have been counted.
    """

    def __init__(self, limiters: int, limits: CallLimits | None = None) -> None:
        """Make a handle; it connects when it is used.

        Args:
            limiters: how many there are.
            limits: of the calls to each of them.
        """
        self._limiters = limiters
        self._limits = CallLimits() if limits is None else limits
        self._actors: dict[int, Any] = {}
        self._ways: dict[int, Way] = {}
        self._doors = Doors(self._door_of)
        self._refusals = Refusals()

    async def check(self, check: Check, *, timeout_s: float = CHECK_S) -> Decision:
        """Decide one check; see ``check_all``."""
        known = self._refusals.find(check, _now())
        if known is not None:
            return known
        number = owner_of(check.tenant, self._limiters)
        return (await self._ask(number, (check,), timeout_s))[0]

    async def check_all(self, checks: Sequence[Check], *, timeout_s: float = CHECK_S) -> list[Decision]:
        """Decide some checks, each by itself.

        Args:
            checks: of any tenants and routes, in the order in which they are to be decided.
            timeout_s: for all of them.

        Returns:
            a decision for each, in order.

        Raises:
            LimiterUnavailableError: an owner could not be reached, or did not answer in time; what others have
                admitted counts.
            LimiterOverloadedError: too many wait for it.
            ValueError: a cost is below 0.
        """
        decisions: dict[int, Decision] = {}
        by_owner: dict[int, list[int]] = {}
        now = _now()
        for at, check in enumerate(checks):
            if check.cost < 0:
                raise ValueError(f"a cost is at least 0, not {check.cost}")
            known = self._refusals.find(check, now)
            if known is None:
                by_owner.setdefault(owner_of(check.tenant, self._limiters), []).append(at)
            else:
                decisions[at] = known
        asked = [
            self._ask(number, [checks[at] for at in positions], timeout_s) for number, positions in by_owner.items()
        ]
        answers = [await asked[0]] if len(asked) == 1 else await asyncio.gather(*asked, return_exceptions=True)
        for positions, answer in zip(by_owner.values(), answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            decisions.update(zip(positions, answer, strict=True))
        return [decisions[at] for at in range(len(checks))]

    async def statistics(self) -> Mapping[int, Mapping[str, Any]]:
        """The figures of each limiter by its number; those that do not answer are missing."""
        answers = await asyncio.gather(*(self._figures(number) for number in range(self._limiters)))
        return {number: figures for number, figures in enumerate(answers) if figures is not None}

    async def _ask(self, number: int, checks: Sequence[Check], timeout_s: float) -> Sequence[Decision]:
        loop = asyncio.get_running_loop()
        way = self._ways.get(number)
        if way is None:
            way = self._ways[number] = Way(actor_name(number), partial(self._send, number), self._limits)
        asked = loop.time()
        decisions = await way.ask(checks, asked, timeout_s)
        now = loop.time()
        for check, decision in zip(checks, decisions, strict=True):
            if not decision.is_allowed:
                self._refusals.note(check, decision, asked, now)
        return decisions

    async def _send(self, number: int, checks: Sequence[Check]) -> Sequence[Decision]:
        name = actor_name(number)
        packed = pickle.dumps([(one[0], one[1], *one[2], one[3], one[4]) for one in checks], protocol=5)
        try:
            async with asyncio.timeout(_CALL_S):
                answer = await self._answer(number, name, packed)
        except (RayError, ValueError, TimeoutError) as error:
            self._doors.leave(name)
            if isinstance(error, RayActorError | ValueError):
                self._actors.pop(number, None)
            _log.warning(
                "rate_limiter_lost", limiter=name, checks=len(checks), error=type(error).__name__,
                correlation_ids=few(check.correlation_id for check in checks),
            )  # fmt: skip
            kind = LimiterOverloadedError if isinstance(error, PendingCallsLimitExceeded) else LimiterUnavailableError
            raise kind(name, type(error).__name__) from error
        if answer is None:
            self._actors.pop(number, None)
            self._doors.leave(name)
            raise LimiterUnavailableError(name, "it is being replaced")
        wire: WireAnswer = pickle.loads(answer)  # noqa: S301 - comes from our own actor
        minute_s, hour_s, verdicts = wire
        resets = Resets(minute_s, hour_s)
        return [
            decided(check.limits, check.cost, admitted, (minute, hour), resets)
            for check, (admitted, minute, hour) in zip(checks, verdicts, strict=True)
        ]

    async def _answer(self, number: int, name: str, packed: bytes) -> bytes | None:
        door = self._doors.of(name)
        if door is not None:
            # Ray knows more of an owner that was lost; what it counted before that may be counted twice.
            with suppress(ConnectionError):
                by_door: bytes | None = await door.call(pickle.dumps((packed, self._limiters), protocol=5))
                return by_door
        answer: bytes | None = await (await self._actor(number)).check.remote(packed, self._limiters)
        return answer

    async def _door_of(self, name: str) -> Address:
        try:
            async with asyncio.timeout(_CALL_S):
                door: Address = await (await self._actor(int(name.removeprefix(FAMILY)))).door.remote()
                return door
        except (RayError, ValueError) as error:
            raise ConnectionError(type(error).__name__) from error

    async def _figures(self, number: int) -> Mapping[str, Any] | None:
        try:
            async with asyncio.timeout(_STATISTICS_S):
                figures: Mapping[str, Any] = await (await self._actor(number)).statistics.remote()
                return figures
        except (RayError, ValueError, TimeoutError) as error:
            self._actors.pop(number, None)
            _log.warning("rate_limiter_statistics_missing", limiter=number, error=type(error).__name__)
            return None

    async def _actor(self, number: int) -> Any:
        actor = self._actors.get(number)
        if actor is None:
            # Looking a name up asks Ray's control service and blocks.
            actor = await asyncio.to_thread(ray.get_actor, actor_name(number), namespace=NAMESPACE)
            self._actors[number] = actor
        return actor


def _now() -> float:
    return asyncio.get_running_loop().time()
