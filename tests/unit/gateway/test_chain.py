"""The edge of every chain: one shape of errors, one deadline, one order."""

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel
from structlog.testing import capture_logs

from actors.shards.errors import OverloadedError, ShardUnavailableError, UnitTimeoutError
from config.plugins import AdminAuthOptions, CorsOptions, IpRestrictionOptions, JwtAuthOptions, Options
from config.setting_types import LoggedRequests
from gateway.answers import refuse
from gateway.asgi import ASGIApp, Receive, Scope, Send
from gateway.chain import Parts, chained
from gateway.context import context_of
from gateway.errors import UnbuiltChainError
from gateway.operations import Operation
from kernel.errors import SpazaError
from tests.gateway import Watch
from tests.unit.gateway.bench import PATH, App, answered, call, route
from tests.unit.gateway.callers import FakeCredentials, bearer, credential, token

_FOREVER = 2**40


async def test_an_answer_gets_through_and_is_watched() -> None:
    watch, app = Watch(), App({"a": 1})

    answer = await answered(chained(app, route(), Parts(watch)), "GET", "/sub/")

    assert (answer.status, answer.json()) == (200, {"a": 1})
    assert watch.answers == [("things", 200)]
    assert (app.context.route, app.context.path) == ("things", "/sub")


@pytest.mark.parametrize(
    ("requests", "guarded", "lines"),
    [("known", True, 2), ("known", False, 0), ("all", False, 2), ("none", True, 0)],
)
async def test_of_a_request_that_was_answered_a_line_has_its_id_where_that_is_wanted(
    requests: LoggedRequests, guarded: bool, lines: int
) -> None:
    plugins = {"jwt-auth": JwtAuthOptions()} if guarded else {}
    credentials = FakeCredentials(known := credential("k1"))
    chain = chained(App({}), route(plugins), Parts(Watch(), credentials=credentials, logs_requests=requests))

    with capture_logs() as log:
        await answered(chain, "PUT", headers=[*bearer(token(exp=_FOREVER)), ("X-Correlation-ID", "mine")])
        await answered(chain, headers=[("X-Correlation-ID", "other")])

    said = [one for one in log if one["event"] == "request_done"]
    assert [(one["correlation_id"], one["method"], one["route"], one["log_level"]) for one in said] == [
        ("mine", "PUT", "things", "info"),
        ("other", "GET", "things", "info"),
    ][:lines]
    if guarded:
        tenant = known.tenant_id
        assert [(one["status"], one["tenant_id"]) for one in said] == [(200, tenant), (401, None)][:lines]
    assert all(one["ms"] >= 0 for one in said)


@pytest.mark.parametrize(
    ("error", "status", "message", "retry_after"),
    [
        (RuntimeError("bug"), 500, "An unexpected error occurred", None),
        (ShardUnavailableError(3, "gone"), 503, None, "2"),
        (OverloadedError(3, 0.05), 503, None, "1"),
        (OverloadedError(3, 3.2), 503, None, "4"),
    ],
)
async def test_what_an_application_raises_is_answered_in_the_one_shape(
    error: Exception, status: int, message: str | None, retry_after: str | None
) -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    answer = await answered(chained(App(handle=fail), route(), Parts(Watch())), headers=[("X-Correlation-ID", "mine")])

    assert answer.status == status
    assert answer.json()["request_id"] == "mine"
    assert answer.headers["x-correlation-id"] == "mine"
    assert message is None or answer.json()["message"] == message
    assert answer.headers.get("retry-after") == retry_after


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ShardUnavailableError(3, "gone"), "This cannot be done now; try again"),
        (UnitTimeoutError("catalog.gone", 3), "Not answered in time; the request may have been carried out"),
    ],
)
async def test_parts_within_are_nobodys_business_but_an_operators(error: SpazaError, message: str) -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    admin = route({"admin-auth": AdminAuthOptions()})
    told = await answered(chained(App(handle=fail), route(), Parts(Watch())))
    operator = await answered(
        chained(App(handle=fail), admin, Parts(Watch(), admin_token=b"secret")), headers=bearer("secret")
    )

    assert told.json()["message"] == message
    assert "gone" in operator.json()["message"]


async def test_what_a_caller_says_of_itself_reaches_no_application_without_jwt_auth_either() -> None:
    app = App()
    said = [("X-Tenant-ID", "a"), ("X-Consumer-Username", "b"), ("x_consumer_id", "c"), ("X-Other", "d")]

    await answered(chained(app, route(), Parts(Watch())), headers=said)

    assert app.upstream == {"x-other": "d"}
    assert dict(app.context.headers) == {b"x-other": b"d"}


async def test_a_handshake_of_websockets_is_declined() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(event: Any) -> None:
        sent.append(event)

    await chained(App(), route(), Parts(Watch()))({"type": "websocket", "path": "/", "headers": []}, receive, send)

    assert [event["type"] for event in sent] == ["websocket.close"]


async def test_half_an_answer_is_not_papered_over() -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        await call(chained(App(handle=fail), route(), Parts(Watch())))


async def test_what_has_not_begun_to_answer_in_the_routes_time_is_a_504_and_ended() -> None:
    ended: list[str] = []

    async def sleep(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    answer = await answered(chained(App(handle=sleep), route(timeout_s=0.5), Parts(Watch())))

    assert (answer.status, ended) == (504, ["cancelled"])
    assert answer.json()["message"] == "Not answered in time; the request may have been carried out"


async def test_an_answer_that_has_begun_may_take_its_time() -> None:
    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        deadline, late = context_of(scope).deadline, asyncio.Event()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        asyncio.get_running_loop().call_at(deadline + 0.01, late.set)
        await late.wait()
        await send({"type": "http.response.body", "body": b"late"})

    answer = await answered(chained(App(handle=stream), route(timeout_s=0.5), Parts(Watch())))

    assert (answer.status, answer.body) == (200, b"late")


async def test_a_timeout_of_the_applications_own_is_no_504() -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise TimeoutError

    assert (await answered(chained(App(handle=fail), route(), Parts(Watch())))).status == 500


async def test_a_hop_is_given_what_is_left_and_not_begun_when_that_is_too_little() -> None:
    given: list[float] = []

    async def hop(scope: Scope, receive: Receive, send: Send) -> None:
        given.append(context_of(scope).remaining_s(10.0))
        given.append(context_of(scope).remaining_s(0.5))
        context_of(scope).remaining_s(10.0, least=3.0)

    answer = await answered(chained(App(handle=hop), route(timeout_s=2.0), Parts(Watch())))

    assert 1.0 < given[0] <= 2.0
    assert given[1] == 0.5
    assert answer.status == 504


async def test_a_route_is_not_served_without_one_of_its_policies() -> None:
    with pytest.raises(UnbuiltChainError, match="route things has jwt-auth, which needs"):
        chained(App(), route({"jwt-auth": JwtAuthOptions()}), Parts(Watch()))


class Read:
    """A chain, and of which requests it asked for the body."""

    def __init__(self, chain: ASGIApp) -> None:
        self._chain, self.asked = chain, list[str]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receiving() -> Any:
            self.asked.append(f"{scope['method']} {scope['path'].removeprefix(PATH)}")
            return await receive()

        await self._chain(scope, receiving, send)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await refuse(scope, send, 405, "Method not allowed")


async def test_no_body_is_waited_for_where_no_operation_looks_at_one() -> None:
    operations = (Operation("GET", "/", "Look."), Operation("PUT", "/{sku}", "Change.", body=BaseModel))
    read = Read(chained(App(handle=_refuse), route(), Parts(Watch()), operations))

    for method, path in (("GET", ""), ("POST", ""), ("DELETE", "/a"), ("PUT", "/a/b"), ("PUT", "/a")):
        assert (await answered(read, method, path, headers=[("Content-Length", "9")])).status == 405

    assert read.asked == ["PUT /a"]


async def test_where_nothing_is_known_of_a_route_a_body_is_waited_for_but_not_with_get() -> None:
    read = Read(chained(App(handle=_refuse), route(), Parts(Watch())))

    for method in ("GET", "HEAD", "OPTIONS", "DELETE", "POST"):
        await answered(read, method, headers=[("Content-Length", "9")])

    assert read.asked == ["DELETE ", "POST "]


async def test_of_whom_an_address_keeps_out_no_body_is_read_and_jwt_auth_goes_first() -> None:
    plugins: dict[str, Options] = {
        "jwt-auth": JwtAuthOptions(), "ip-restriction": IpRestrictionOptions.model_validate({"deny": ["192.0.2.0/24"]}),
    }  # fmt: skip
    parts = Parts(Watch(), credentials=FakeCredentials(credential("k1")))
    read = Read(chained(App(), route(plugins), parts))

    nobody = await answered(read, "POST", client="192.0.2.7")
    known = await answered(read, "POST", client="192.0.2.7", headers=bearer(token(exp=4e9)), body=b"{}")

    assert (nobody.status, known.status, read.asked) == (401, 403, [])


@pytest.mark.parametrize("headers", [[], [("Authorization", "Bearer x")], bearer(token(key=b"f" * 32))])
async def test_of_who_is_nobody_no_body_is_read_and_of_a_tenant_it_is(headers: list[tuple[str, str]]) -> None:
    app = App()
    plugins: dict[str, Options] = {"cors": CorsOptions(), "jwt-auth": JwtAuthOptions()}
    read = Read(chained(app, route(plugins), Parts(Watch(), credentials=FakeCredentials(credential("k1")))))

    refused = await answered(read, "POST", headers=[*headers, ("Origin", "https://a.example")], body=b"{}")

    assert (refused.status, read.asked, app.bodies) == (401, [], [])
    assert "access-control-allow-origin" in refused.headers
    assert (await answered(read, "POST", headers=bearer(token(exp=4e9)), body=b"{}")).status == 200
    assert (read.asked, app.bodies) == (["POST "], [b"{}"])


async def test_who_calls_is_found_within_the_routes_time() -> None:
    class Stuck:
        async def find(self, _kid: str) -> None:
            await asyncio.Event().wait()

    stuck = chained(App(), route({"jwt-auth": JwtAuthOptions()}, timeout_s=0.01), Parts(Watch(), credentials=Stuck()))

    assert (await answered(stuck, "POST", headers=bearer(token(exp=_FOREVER)), body=b"{}")).status == 504


async def test_the_server_may_start_and_stop_a_chain() -> None:
    incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return incoming.pop(0)

    async def send(event: Any) -> None:
        sent.append(event)

    await chained(App(), route(), Parts(Watch()))({"type": "lifespan"}, receive, send)

    assert sent == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


async def test_every_event_is_made_anew_for_the_server_writes_into_it() -> None:
    chain = chained(App(headers=()), route(), Parts(Watch()))
    first = await answered(chain)
    first.events[0]["headers"].append((b"x-request-id", b"1"))

    assert (await answered(chain)).headers.keys() == {"x-correlation-id"}


async def test_an_answer_to_head_has_the_length_and_no_body() -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise ShardUnavailableError(3, "gone")

    answer = await answered(chained(App(handle=fail), route(), Parts(Watch())), "HEAD")

    assert int(answer.headers["content-length"]) > 0
    assert answer.body == b""
