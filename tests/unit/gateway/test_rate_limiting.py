"""rate-limiting in a chain.

Kong: spec/03-plugins/23-rate-limiting/03-api_spec.lua, 04-access_spec.lua (headers, status and body of a refusal,
limits of a consumer, hide_client_headers, fault_tolerant) and 05-integration_spec.lua.
"""

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from actors.rate_limiter.clock import Instant
from actors.rate_limiter.decision import Decision, Limits, Resets, decided
from actors.rate_limiter.errors import LimiterUnavailableError
from actors.rate_limiter.ledger import Check, Earlier, Ledger
from actors.rate_limiter.own_limits import OwnLimits
from actors.rate_limiter.window import Used
from config.plugins import JwtAuthOptions, Options, RateLimitingOptions
from gateway.asgi import ASGIApp, Receive, Scope, Send
from gateway.chain import Parts, chained
from gateway.context import Identity, context_of
from gateway.errors import UnbuiltChainError
from gateway.plugins.rate_limiting import RateLimiting, told
from gateway.policy import Policy
from tests.gateway import Watch
from tests.unit.gateway.bench import Answered, App, answered, route
from tests.unit.gateway.callers import FakeCredentials, bearer, credential, token

# Ten seconds into an hour.
NOW = 1_800_000_010.0
TENANT = "01a206e71a8876c38ef13d4c866fa497"


class LedgerLimiter:
    """Decides at once, as an owner does, at a time that stands still."""

    def __init__(self) -> None:
        self.ledger, self.now, self.checks = Ledger(100), NOW, list[Check]()
        self.error: Exception | None = None
        self.timeouts_s = list[float]()

    async def check(self, check: Check, *, timeout_s: float) -> Decision:
        self.checks.append(check)
        self.timeouts_s.append(timeout_s)
        if self.error is not None:
            raise self.error
        now = Instant(self.now, self.now)
        if self.ledger.unknown([check]):
            self.ledger.begin(Earlier.of(check.pair, now), Used(), check.limits)
        verdict = self.ledger.decide(check, now)
        used = verdict.minute_used, verdict.hour_used
        return decided(check.limits, check.cost, verdict.admitted, used, Resets.at(now))


class Bench:
    """A chain that has identified its caller."""

    def __init__(
        self, options: RateLimitingOptions, limits: Limits, identity: Identity | None, timeout_s: float = 30.0
    ) -> None:
        self.limiter, self.watch, self.app, self.identity = LedgerLimiter(), Watch(), App({}), identity
        policy = Policy("things", "rate-limiting", self.watch, enforced=options.mode == "enforce")
        limiting = RateLimiting(self.app, options, policy, self.limiter, limits)

        async def identified(scope: Scope, receive: Receive, send: Send) -> None:
            context_of(scope).identity = self.identity
            await limiting(scope, receive, send)

        self._chain: ASGIApp = chained(identified, route(timeout_s=timeout_s), Parts(self.watch))

    async def call(self) -> Answered:
        return await answered(self._chain)


Make = Callable[..., Bench]


@pytest.fixture
def bench() -> Make:
    def make(
        limits: Limits = Limits(2, 10),  # noqa: B008 - a value
        *,
        own: tuple[int | None, int | None] = (None, None),
        identity: Identity | None = None,
        **options: object,
    ) -> Bench:
        known = Identity(TENANT, "kid", 3, 1, OwnLimits(*own)) if identity is None else identity
        return Bench(RateLimitingOptions.model_validate(options), limits, known)

    return make


async def test_an_answer_says_how_much_is_left_in_kongs_words_and_in_the_drafts(bench: Make) -> None:
    answer = await bench().call()

    assert answer.status == 200
    assert {name: value for name, value in answer.headers.items() if "ratelimit" in name} == {
        "x-ratelimit-limit-minute": "2",
        "x-ratelimit-remaining-minute": "1",
        "x-ratelimit-limit-hour": "10",
        "x-ratelimit-remaining-hour": "9",
        "ratelimit-limit": "2",
        "ratelimit-remaining": "1",
        "ratelimit-reset": "50",
        "ratelimit-policy": '"minute";q=2;w=60, "hour";q=10;w=3600',
        "ratelimit": '"minute";r=1;t=50, "hour";r=9;t=3590',
    }
    assert "retry-after" not in answer.headers


async def test_beyond_the_limit_it_is_a_429_with_kongs_body_and_a_true_retry_after(bench: Make) -> None:
    made = bench()
    answers = [await made.call() for _ in range(3)]

    refused = answers[-1]
    assert [one.status for one in answers] == [200, 200, 429]
    assert refused.json() == {"message": "API rate limit exceeded", "request_id": refused.headers["x-correlation-id"]}
    assert refused.headers["retry-after"] == refused.headers["ratelimit-reset"] == "50"
    assert refused.headers["x-ratelimit-remaining-minute"] == "0"
    # Kong counts no call that it refuses, and neither do we.
    assert refused.headers["x-ratelimit-remaining-hour"] == "8"
    assert len(made.app.scopes) == 2
    assert made.watch.refusals == [("things", "rate-limiting", 429, True)]


async def test_who_obeys_retry_after_gets_through(bench: Make) -> None:
    made = bench(Limits(1, 1))
    await made.call()
    refused = await made.call()

    # Both are used up, so the hour counts.
    assert refused.headers["retry-after"] == "3590"
    made.limiter.now += int(refused.headers["retry-after"])
    assert (await made.call()).status == 200


async def test_part_of_a_second_is_a_whole_one(bench: Make) -> None:
    made = bench(Limits(1, 9))
    made.limiter.now += 0.25
    await made.call()

    assert (await made.call()).headers["retry-after"] == "50"
    made.limiter.now += 49.5
    assert (await made.call()).headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("used", "limit", "reset"), [((9, 9), "20", "3590"), ((9, 19), "20", "3590"), ((10, 10), "10", "50")]
)
def test_the_headers_without_a_unit_are_of_the_window_of_which_least_is_left_and_of_equals_the_longer(
    used: tuple[int, int], limit: str, reset: str
) -> None:
    limits = Limits(10, 20) if used[1] > 9 else Limits(20, 20)
    headers = dict(told(decided(limits, 1, 1, used, Resets(50.0, 3590.0))))

    assert (headers[b"ratelimit-limit"].decode(), headers[b"ratelimit-reset"].decode()) == (limit, reset)


async def test_a_tenants_own_limits_win_each_by_itself_and_a_changed_one_counts_at_once(bench: Make) -> None:
    made = bench(own=(5, None))

    answer = await made.call()
    assert (answer.headers["x-ratelimit-limit-minute"], answer.headers["x-ratelimit-limit-hour"]) == ("5", "10")

    assert made.identity is not None
    made.identity = made.identity._replace(limits=OwnLimits(1))
    assert (await made.call()).status == 429


async def test_tenants_have_limits_apart(bench: Make) -> None:
    made = bench(Limits(1, 5))
    await made.call()
    assert (await made.call()).status == 429

    made.identity = Identity("f" * 32, "kid", 3, 1)

    assert (await made.call()).status == 200


async def test_hidden_headers_are_all_hidden_retry_after_too(bench: Make) -> None:
    made = bench(Limits(1, 5), hide_client_headers=True)
    answers = [await made.call() for _ in range(2)]

    assert [one.status for one in answers] == [200, 429]
    assert not [name for one in answers for name in one.headers if "ratelimit" in name or name == "retry-after"]


async def test_while_the_limiter_cannot_decide_what_was_left_passes_and_no_more(bench: Make) -> None:
    made = bench(Limits(3, 10))
    first = await made.call()
    made.limiter.error = LimiterUnavailableError("rate_limiter:0", "gone")

    answers = [await made.call() for _ in range(3)]

    assert first.headers["x-ratelimit-remaining-hour"] == "9"
    assert [one.status for one in answers] == [200, 200, 429]
    assert [one.headers["x-ratelimit-remaining-hour"] for one in answers] == ["8", "7", "7"]
    assert 0 < int(answers[2].headers["retry-after"]) <= 60


async def test_or_are_answered_500_where_that_is_wanted(bench: Make) -> None:
    made = bench(fault_tolerant=False)
    made.limiter.error = LimiterUnavailableError("rate_limiter:0", "gone")

    answer = await made.call()

    assert (answer.status, answer.json()["message"]) == (500, "An unexpected error occurred")
    assert made.app.scopes == []


@pytest.mark.parametrize("tolerant", [True, False])
async def test_of_a_short_time_the_limiter_has_a_part_and_the_application_the_rest(tolerant: bool) -> None:
    made = Bench(RateLimitingOptions(fault_tolerant=tolerant), Limits(3, 10), Identity(TENANT, "kid", 3, 1), 2.0)

    assert (await made.call()).status == 200

    [timeout_s] = made.limiter.timeouts_s
    assert 0.0 < timeout_s <= 1.5


async def test_a_check_is_followed_under_the_id_of_its_request_and_so_is_one_that_failed(bench: Make) -> None:
    made = bench(fault_tolerant=False)
    first = (await made.call()).headers["x-correlation-id"]
    made.limiter.error = LimiterUnavailableError("rate_limiter:0", "gone")

    with capture_logs() as lines:
        second = (await made.call()).headers["x-correlation-id"]

    assert [check.correlation_id for check in made.limiter.checks] == [first, second]
    assert [(one["event"], one["correlation_id"]) for one in lines] == [("limit_not_checked", second)]


async def test_in_shadow_it_decides_and_counts_and_lets_pass(bench: Make) -> None:
    made = bench(Limits(1, 5), mode="shadow")
    answers = [await made.call() for _ in range(3)]

    assert [one.status for one in answers] == [200, 200, 200]
    assert made.watch.refusals == [("things", "rate-limiting", 429, False)] * 2
    assert not [name for one in answers for name in one.headers if "ratelimit" in name]


async def test_who_was_identified_by_nobody_is_not_counted(bench: Make) -> None:
    made = bench(Limits(1, 5))
    made.identity = None

    assert [(await made.call()).status for _ in range(3)] == [200, 200, 200]
    assert made.limiter.checks == []


@pytest.mark.parametrize(
    ("plugins", "has_limiter", "missing"),
    [
        ({"jwt-auth": JwtAuthOptions(), "rate-limiting": RateLimitingOptions()}, False, "a limiter"),
        ({"rate-limiting": RateLimitingOptions()}, True, "jwt-auth, for nobody else"),
        ({"jwt-auth": JwtAuthOptions(), "rate-limiting": RateLimitingOptions(on_limit="defer")}, True, "reject"),
    ],
)
def test_a_route_whose_limits_nobody_would_keep_is_not_served(
    plugins: dict[str, Options], has_limiter: bool, missing: str
) -> None:
    parts = Parts(Watch(), LedgerLimiter() if has_limiter else None, credentials=FakeCredentials())

    with pytest.raises(UnbuiltChainError, match=f"rate-limiting, which needs .*{missing}"):
        chained(App(), route(plugins), parts)


async def test_an_application_that_counts_messages_is_left_to_it() -> None:
    plugins = {"rate-limiting": RateLimitingOptions(on_limit="defer")}

    answer = await answered(chained(App({}), route(plugins), Parts(Watch(), counts_messages=True)))

    assert answer.status == 200


async def test_a_routes_limits_stand_before_the_platforms() -> None:
    plugins = {
        "jwt-auth": JwtAuthOptions(claims_to_verify=("tenant_id",)),
        "rate-limiting": RateLimitingOptions(hour=7),
    }
    parts = Parts(Watch(), LedgerLimiter(), Limits(4, 40), credentials=FakeCredentials(credential("k1")))

    answer = await answered(chained(App({}), route(plugins), parts), headers=bearer(token(exp=2**40)))

    assert answer.headers["ratelimit-policy"] == '"minute";q=4;w=60, "hour";q=7;w=3600'
