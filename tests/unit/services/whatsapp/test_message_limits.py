"""Messages over their merchant's limit."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest

from actors.mailbox.message import YIELDS, Message
from actors.rate_limiter.clock import Instant
from actors.rate_limiter.decision import Decision, Limits, Resets, decided
from actors.rate_limiter.errors import LimiterUnavailableError
from actors.rate_limiter.ledger import Check, Earlier, Ledger
from actors.rate_limiter.own_limits import OwnLimits
from actors.rate_limiter.window import Used
from config.plugins import RateLimitingOptions
from config.routes import Route
from services.tenants.errors import DirectoryUnavailableError
from services.tenants.tenant import Tenant
from services.whatsapp.message_limits import Admitted, DeferringLimits, LimitParts, RejectingLimits, message_limits

NOW = 1_800_000_010.0


class World:
    """A limiter, a directory and an observer; the clock stands still."""

    def __init__(self) -> None:
        self.ledger, self.calls = Ledger(100), list[Sequence[Check]]()
        self.tenants = {"1": _tenant("a", "1"), "2": _tenant("b", "2"), "3": _tenant("a", "3")}
        self.limiter_error: Exception | None = None
        self.unknown: frozenset[str] = frozenset()
        self.over: list[tuple[int, bool]] = []
        self.uncounted: list[int] = []

    async def check(self, check: Check, *, timeout_s: float) -> Decision:
        return (await self.check_all([check], timeout_s=timeout_s))[0]

    async def check_all(self, checks: Sequence[Check], *, timeout_s: float) -> Sequence[Decision]:
        self.calls.append(checks)
        if self.limiter_error is not None:
            raise self.limiter_error
        now = Instant(NOW, NOW)
        decisions = []
        for check in checks:
            if self.ledger.unknown([check]):
                self.ledger.begin(Earlier.of(check.pair, now), Used(), check.limits)
            verdict = self.ledger.decide(check, now)
            used = verdict.minute_used, verdict.hour_used
            decisions.append(decided(check.limits, check.cost, verdict.admitted, used, Resets.at(now)))
        return decisions

    async def by_phones(self, phone_number_ids: Collection[str]) -> Mapping[str, Tenant | None]:
        found = {number: self.tenants.get(number) for number in phone_number_ids if number not in self.unknown}
        if self.unknown:
            raise DirectoryUnavailableError(self.unknown, found)
        return found

    def over_limit(self, messages: int, *, enforced: bool) -> None:
        self.over.append((messages, enforced))

    def not_counted(self, messages: int) -> None:
        self.uncounted.append(messages)


def _tenant(tenant_id: str, number: str, limit_minute: int | None = None) -> Tenant:
    return Tenant(tenant_id, "Shop", 0, 1, "active", number, "+27", "", 0.0, 0.0, limits=OwnLimits(limit_minute))


def messages(*numbers: str) -> list[Message]:
    return [Message(f"m{at}", "k", number, b"", {"correlation_id": "c"}, 0.0) for at, number in enumerate(numbers)]


def yields(admitted: Admitted) -> list[bool]:
    return [YIELDS in one.headers for one in admitted.messages]


async def counted(limits: DeferringLimits) -> None:
    """Wait until what was admitted is counted."""
    task = limits._task
    assert task is not None
    await task


@pytest.fixture
def world() -> World:
    return World()


def parts(world: World, *, enforced: bool = True, limits: Limits = Limits(3, 50)) -> LimitParts:  # noqa: B008
    return LimitParts(world, world, world, "whatsapp", limits, enforced)


async def test_deferring_waits_for_nobody_and_marks_what_comes_while_the_limit_is_used_up(world: World) -> None:
    limits = DeferringLimits(parts(world), linger_s=0.0)

    first = await limits.admit(messages("1", "1", "1", "1", "2"))
    assert world.calls == []
    await counted(limits)
    second = await limits.admit(messages("1", "2"))

    assert yields(first) == [False] * 5
    assert yields(second) == [True, False]
    assert second.messages[0].headers["correlation_id"] == "c"
    assert world.over == [(1, True)]
    # It was counted up to the limit, and no further.
    assert world.ledger.decide(Check("a", "whatsapp", Limits(3, 50), 0), Instant(NOW, NOW)).minute_used == 3
    await counted(limits)


async def test_what_comes_at_about_the_same_time_is_counted_together_by_merchant_and_number(world: World) -> None:
    limits = DeferringLimits(parts(world), linger_s=0.0)

    await limits.admit(messages("1", "1"))
    await limits.admit(messages("2", "3"))
    await counted(limits)

    [checks] = world.calls
    assert [(check.tenant, check.cost) for check in checks] == [("a", 2), ("b", 1), ("a", 1)]


async def test_all_numbers_of_a_merchant_share_its_limit_and_its_own_one_wins(world: World) -> None:
    world.tenants["1"] = _tenant("a", "1", limit_minute=2)
    world.tenants["3"] = _tenant("a", "3", limit_minute=2)
    limits = DeferringLimits(parts(world), linger_s=0.0)

    await limits.admit(messages("1", "1", "3"))
    await counted(limits)

    assert yields(await limits.admit(messages("1", "3"))) == [False, True]
    await counted(limits)
    assert yields(await limits.admit(messages("1", "3"))) == [True, True]
    await counted(limits)


async def test_a_raised_limit_counts_with_the_next_message(world: World) -> None:
    limits = DeferringLimits(parts(world), linger_s=0.0)
    await limits.admit(messages("1", "1", "1", "1"))
    await counted(limits)
    world.tenants["1"] = _tenant("a", "1", limit_minute=10)

    assert yields(await limits.admit(messages("1"))) == [True]
    await counted(limits)
    assert yields(await limits.admit(messages("1"))) == [False]
    await counted(limits)


async def test_in_shadow_it_counts_and_marks_nothing(world: World) -> None:
    limits = DeferringLimits(parts(world, enforced=False), linger_s=0.0)
    await limits.admit(messages("1", "1", "1", "1"))
    await counted(limits)

    assert yields(await limits.admit(messages("1"))) == [False]
    assert world.over == [(1, False)]
    await counted(limits)


async def test_what_cannot_be_counted_is_taken_all_the_same(world: World) -> None:
    limits = DeferringLimits(parts(world), linger_s=0.0)
    world.limiter_error = LimiterUnavailableError("rate_limiter:0", "gone")
    await limits.admit(messages("1", "1"))
    await counted(limits)

    world.limiter_error, world.unknown = None, frozenset({"2"})
    assert yields(await limits.admit(messages("1", "2", "9", ""))) == [False] * 4
    await counted(limits)

    # Those of a number that is nobody's are not missed.
    assert world.uncounted == [2, 1]


async def test_a_limiter_that_fails_in_a_way_nobody_thought_of_stops_neither_messages_nor_the_counting(
    world: World,
) -> None:
    limits = DeferringLimits(parts(world), linger_s=0.0)
    world.limiter_error = KeyError("?")
    assert yields(await limits.admit(messages("1", "1", "1", "1", "1"))) == [False] * 5
    await counted(limits)
    world.limiter_error = None
    await limits.admit(messages("1", "1", "1", "1"))
    await counted(limits)

    assert yields(await limits.admit(messages("1"))) == [True]
    assert world.uncounted == [5, 0]
    await counted(limits)


async def test_rejecting_keeps_back_those_over_the_limit_and_says_when_they_may_come_again(world: World) -> None:
    limits = RejectingLimits(parts(world))
    first = await limits.admit(messages("1", "1", "1", "2"))

    second = await limits.admit(messages("1", "2", "", "9"))

    assert (len(first.messages), first.retry_after_s) == (4, None)
    assert [one.tenant for one in second.messages] == ["2", "", "9"]
    assert second.retry_after_s == 50
    assert {(b"x-ratelimit-remaining-minute", b"0"), (b"ratelimit-reset", b"50")} <= {*second.told}


async def test_rejecting_tells_nothing_where_clients_are_to_be_told_nothing(world: World) -> None:
    limits = RejectingLimits(parts(world)._replace(tells=False))
    await limits.admit(messages("1", "1", "1"))

    assert (await limits.admit(messages("1"))).told == ()


async def test_more_than_a_whole_limit_in_one_request_passes_once_nothing_of_it_is_used(world: World) -> None:
    limits = RejectingLimits(parts(world))

    first = await limits.admit(messages(*("1",) * 7))
    second = await limits.admit(messages(*("1",) * 7))

    assert (len(first.messages), first.retry_after_s) == (7, None)
    assert (len(second.messages), second.retry_after_s) == (0, 50)


async def test_rejecting_lets_pass_what_cannot_be_counted_and_all_in_shadow(world: World) -> None:
    world.limiter_error = LimiterUnavailableError("rate_limiter:0", "gone")
    assert (await RejectingLimits(parts(world)).admit(messages(*("1",) * 9))).retry_after_s is None

    world.limiter_error = None
    shadow = RejectingLimits(parts(world, enforced=False))
    for _ in range(2):
        assert len((await shadow.admit(messages("1", "1", "1"))).messages) == 3


class Aside:
    """Decides for a limiter that is away: nothing is left of the minute."""

    async def check(self, check: Check) -> Decision:
        return decided(check.limits, check.cost, 0, (check.limits.minute, 0), Resets.at(Instant(NOW, NOW)))


async def test_a_limiter_that_is_away_is_stood_in_for_where_messages_over_the_limit_are_rejected(world: World) -> None:
    plugins = {"rate-limiting": RateLimitingOptions(on_limit="reject")}
    route = Route(name="whatsapp", path="/w", service="s", timeout_s=3.0, plugins=plugins)
    limits = message_limits(route, Limits(3, 50), world, world, world, aside=Aside())
    assert limits is not None
    there = await limits.admit(messages("1"))
    world.limiter_error = LimiterUnavailableError("rate_limiter:0", "gone")

    away = await limits.admit(messages("1", "2", "9"))

    assert (len(there.messages), there.retry_after_s) == (1, None)
    assert ([one.tenant for one in away.messages], away.retry_after_s) == (["9"], 50)


async def test_where_it_is_not_to_pass_uncounted_that_is_an_error_to_come_again_for(world: World) -> None:
    limits = RejectingLimits(parts(world)._replace(tolerant=False))
    world.limiter_error = LimiterUnavailableError("rate_limiter:0", "gone")
    with pytest.raises(LimiterUnavailableError):
        await limits.admit(messages("1"))

    world.limiter_error, world.unknown = None, frozenset({"1"})
    with pytest.raises(DirectoryUnavailableError):
        await limits.admit(messages("1"))


async def test_without_messages_nobody_is_asked(world: World) -> None:
    assert await RejectingLimits(parts(world)).admit([]) == Admitted([])
    await DeferringLimits(parts(world)).admit(messages(""))

    assert world.calls == []


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (None, type(None)),
        (RateLimitingOptions(on_limit="defer"), DeferringLimits),
        (RateLimitingOptions(on_limit="reject"), RejectingLimits),
    ],
)
def test_the_route_says_what_becomes_of_messages_over_the_limit(
    world: World, options: RateLimitingOptions | None, kind: type[Any]
) -> None:
    plugins = {} if options is None else {"rate-limiting": options}
    route = Route(name="whatsapp", path="/w", service="s", timeout_s=3.0, plugins=plugins)

    assert isinstance(message_limits(route, Limits(3, 50), world, world, world), kind)
