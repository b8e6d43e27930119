"""Kong's cases for correlation-id, and those of ids that would break out of a log or a header.

Follows Kong, spec/03-plugins/11-correlation-id/01-access_spec.lua; of its generators there is ``uuid`` alone.
"""

import asyncio
import re
from typing import Any

import pytest

from config.plugins import CorrelationIdOptions, JwtAuthOptions
from gateway.asgi import Receive, Scope, Send
from gateway.chain import Parts, chained
from tests.gateway import Watch
from tests.unit.gateway.bench import App, answered, route
from tests.unit.gateway.callers import FakeCredentials


@pytest.mark.parametrize("given", ["abc-123", "a" * 128, "urn:uuid:1/2+3=@x_y.z"])
async def test_a_sane_correlation_id_is_kept_and_comes_back(given: str) -> None:
    app = App()

    answer = await answered(chained(app, route(), Parts(Watch())), headers=[("X-Correlation-ID", given)])

    assert answer.headers["x-correlation-id"] == given
    assert app.context.correlation_id == given


@pytest.mark.parametrize("given", ["", " ", "a b", "x" * 129, 'a"b', "a\r\nset-cookie: x", "é"])
async def test_any_other_is_replaced(given: str) -> None:
    answer = await answered(chained(App(), route(), Parts(Watch())), headers=[("X-Correlation-ID", given)])

    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-correlation-id"])


async def test_each_request_has_an_id_of_its_own() -> None:
    chain = chained(App(), route(), Parts(Watch()))

    assert len({(await answered(chain)).headers["x-correlation-id"] for _ in range(10)}) == 10


async def test_serves_id_is_taken_where_the_caller_has_none() -> None:
    chain = chained(App(), route(), Parts(Watch()))

    serves = await answered(chain, headers=[("X-Request-ID", "serves")])
    callers = await answered(chain, headers=[("X-Request-ID", "serves"), ("X-Correlation-ID", "callers")])

    assert (serves.headers["x-correlation-id"], callers.headers["x-correlation-id"]) == ("serves", "callers")


async def test_the_header_may_have_another_name() -> None:
    app = App()
    options = {"correlation-id": CorrelationIdOptions(header_name="Kong-Request-ID")}

    answer = await answered(chained(app, route(options), Parts(Watch())), headers=[("Kong-Request-ID", "mine")])

    assert (answer.headers["kong-request-id"], app.context.correlation_id) == ("mine", "mine")
    assert "x-correlation-id" not in answer.headers


async def test_it_is_not_echoed_where_the_options_say_so_and_names_the_request_all_the_same() -> None:
    app = App()
    options = {"correlation-id": CorrelationIdOptions(echo_downstream=False)}

    answer = await answered(chained(app, route(options), Parts(Watch())), headers=[("X-Correlation-ID", "mine")])

    assert "x-correlation-id" not in answer.headers
    assert app.context.correlation_id == "mine"


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("bug")


async def sleeps(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("handle", "plugins", "status"),
    [(fails, {}, 500), (sleeps, {}, 504), (None, {"jwt-auth": JwtAuthOptions()}, 401)],
)
async def test_it_is_on_errors_too_whoever_answers_them(handle: Any, plugins: Any, status: int) -> None:
    parts = Parts(Watch(), credentials=FakeCredentials())
    chain = chained(App(handle=handle), route(plugins, timeout_s=0.01 if status == 504 else 30.0), parts)

    answer = await answered(chain, headers=[("X-Correlation-ID", "mine")])

    assert (answer.status, answer.headers["x-correlation-id"]) == (status, "mine")
    assert answer.json()["request_id"] == "mine"
