"""admin-auth in a chain, and an admin API that has none in front."""

from typing import Any

import pytest

from actors.shards.unit import UnitCall, UnitOutcome
from config.plugins import AdminAuthOptions, Options
from gateway.api import Endpoint
from gateway.asgi import ASGIApp, Receive, Scope, Send
from gateway.chain import Parts, chained
from gateway.context import Operator, RequestContext
from gateway.errors import UnbuiltChainError
from gateway.operations import Call, Operation
from kernel.errors import SpazaError
from services.admin.edge import AdminApi, WithinRequest, followed_id, within_request_s
from tests.gateway import Watch
from tests.unit.gateway.bench import App, answered, route

TOKEN = "t" * 32
LET_IN = [("Authorization", f"Bearer {TOKEN}")]
ADMIN: dict[str, Options] = {"admin-auth": AdminAuthOptions()}


def chain(app: ASGIApp, watch: Watch | None = None, *, timeout_s: float = 30.0) -> ASGIApp:
    parts = Parts(Watch() if watch is None else watch, admin_token=TOKEN.encode())
    return chained(app, route(ADMIN, timeout_s=timeout_s), parts)


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer guess", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"]
)
async def test_who_has_not_the_admin_token_is_refused_before_the_body_is_read(authorization: str) -> None:
    app, watch, asked = App(), Watch(), list[str]()
    guarded = chain(app, watch)

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def receiving() -> Any:
            asked.append("body")
            return await receive()

        await guarded(scope, receiving, send)

    answer = await answered(watched, "POST", headers=[("Authorization", authorization)], body=b"{}")

    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["message"] == "The admin token is missing or does not match"
    assert (asked, app.scopes) == ([], [])
    assert watch.refusals == [("things", "admin-auth", 401, True)]


@pytest.mark.parametrize(
    ("said", "name"), [("thandi", "thandi"), ("", "unknown"), ("x" * 65, "unknown"), ("<b>", "unknown")]
)
async def test_an_operator_is_named_as_he_calls_himself_if_that_is_a_name(said: str, name: str) -> None:
    app = App({})

    await answered(chain(app), headers=[*LET_IN, ("X-Operator", said), ("X-Forwarded-For", "10.0.0.9")])

    assert app.context.operator == Operator(name, "10.0.0.9 via 127.0.0.1")


@pytest.mark.parametrize("said", [None, "127.0.0.1", "nonsense"])
async def test_what_no_proxy_says_is_not_told(said: str | None) -> None:
    app = App({})

    await answered(chain(app), headers=[*LET_IN, *([("X-Forwarded-For", said)] if said else [])])

    assert app.context.operator == Operator("unknown", "127.0.0.1")


async def test_without_a_token_to_compare_with_a_route_is_not_served() -> None:
    with pytest.raises(UnbuiltChainError, match="admin-auth"):
        chained(App(), route(ADMIN), Parts(Watch()))


READ = Operation("GET", "/", "Read.")


class SealedError(SpazaError):
    def __str__(self) -> str:
        return "the key is another one"


def api(error: Exception | None = None, hop: Any = None) -> AdminApi:
    async def handle(_call: Call, _context: RequestContext) -> dict[str, Any]:
        if error is not None:
            raise error
        return {} if hop is None else dict(await hop())

    return AdminApi([Endpoint(READ, handle)])


async def test_an_admin_api_without_admin_auth_in_front_lets_nobody_in() -> None:
    answer = await answered(chained(api(), route(), Parts(Watch())), headers=LET_IN)

    assert answer.status == 401


@pytest.mark.parametrize(
    ("error", "message"),
    [(SealedError(), "The key is another one"), (RuntimeError("bug"), "An unexpected error occurred")],
)
async def test_an_operator_is_told_what_went_wrong_where_we_understand_it(error: Exception, message: str) -> None:
    answer = await answered(chain(api(error)), headers=LET_IN)

    assert (answer.status, answer.json()["message"]) == (500, message)


class Runner:
    def __init__(self) -> None:
        self.given: list[float] = []

    async def run(self, calls: Any, *, timeout_s: float) -> list[UnitOutcome]:
        self.given.append(timeout_s)
        assert [call.correlation_id for call in calls] == ["mine"]
        return [UnitOutcome(None, (), None) for _ in calls]


@pytest.mark.parametrize(("timeout_s", "status", "hops"), [(60.0, 200, 1), (2.0, 200, 1), (0.005, 504, 0)])
async def test_a_hop_has_no_more_time_than_the_request_and_is_not_begun_with_too_little(
    timeout_s: float, status: int, hops: int
) -> None:
    runner = Runner()

    async def hop() -> dict[str, Any]:
        await WithinRequest(runner).run([UnitCall("read", 0, "", None)], timeout_s=10.0)
        return {}

    headers = [*LET_IN, ("X-Correlation-ID", "mine")]
    answer = await answered(chain(api(hop=hop), timeout_s=timeout_s), headers=headers)

    assert (answer.status, len(runner.given)) == (status, hops)
    assert all(given <= min(timeout_s, 10.0) for given in runner.given)
    assert (within_request_s(10.0), followed_id()) == (10.0, "")
