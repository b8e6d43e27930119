"""Kong's cases for cors.

Follows Kong, spec/03-plugins/13-cors/01-access_spec.lua and 02-schema_spec.lua.
"""

from typing import Any

import pytest
from pydantic import ValidationError

from config.plugins import CorsOptions, JwtAuthOptions
from gateway.chain import Parts, chained
from tests.gateway import Watch
from tests.unit.gateway.bench import Answered, App, answered, route
from tests.unit.gateway.callers import FakeCredentials

PREFLIGHT = (("Access-Control-Request-Method", "GET"),)


class Gate:
    def __init__(self, **options: Any) -> None:
        self.app = App()
        plugins = {"cors": CorsOptions(**options), "jwt-auth": JwtAuthOptions()}
        self.protected = chained(App(), route(plugins), Parts(Watch(), credentials=FakeCredentials()))
        self.chain = chained(self.app, route({"cors": CorsOptions(**options)}), Parts(Watch()))

    async def preflight(self, origin: str = "http://example.com", *more: tuple[str, str]) -> Answered:
        headers = [("Origin", origin), *PREFLIGHT, *more]
        return await answered(self.chain, "OPTIONS", headers=headers)

    async def get(self, origin: str | None = "http://example.com") -> Answered:
        return await answered(self.chain, headers=[] if origin is None else [("Origin", origin)])


def allowed(answer: Answered) -> str | None:
    return answer.headers.get("access-control-allow-origin")


async def test_a_preflight_is_answered_with_the_defaults_and_goes_no_further() -> None:
    gate = Gate()

    answer = await gate.preflight()

    assert (answer.status, answer.body, allowed(answer)) == (200, b"", "*")
    assert answer.headers["access-control-allow-methods"] == "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT"
    for absent in ("headers", "credentials", "max-age", "private-network"):
        assert f"access-control-allow-{absent}" not in answer.headers
    assert ("vary" in answer.headers, "access-control-expose-headers" in answer.headers) == (False, False)
    assert gate.app.scopes == []


async def test_a_preflight_needs_no_token_and_what_is_refused_has_the_headers_too() -> None:
    gate = Gate()

    asked = await answered(gate.protected, "OPTIONS", headers=[("Origin", "http://a.b"), *PREFLIGHT])
    refused = await answered(gate.protected, headers=[("Origin", "http://a.b")])

    assert asked.status == 200
    assert (refused.status, allowed(refused)) == (401, "*")


async def test_the_options_are_told() -> None:
    gate = Gate(
        origins=["http://example.com"], methods=["GET"], headers=["origin", "type", "accepts"], max_age=23,
        exposed_headers=["x-auth-token", "x-b"], credentials=True, private_network=True,
    )  # fmt: skip

    asked = await gate.preflight("http://example.com", ("Access-Control-Request-Private-Network", "true"))
    got = await gate.get()

    assert asked.headers["access-control-allow-methods"] == "GET"
    assert asked.headers["access-control-allow-headers"] == "origin,type,accepts"
    assert asked.headers["access-control-max-age"] == "23"
    assert asked.headers["access-control-allow-private-network"] == "true"
    assert got.headers["access-control-expose-headers"] == "x-auth-token,x-b"
    for answer in (asked, got):
        assert (allowed(answer), answer.headers["vary"]) == ("http://example.com", "Origin")
        assert answer.headers["access-control-allow-credentials"] == "true"


async def test_the_headers_that_are_asked_for_are_allowed_where_none_are_named() -> None:
    asked = await Gate().preflight("http://a.b", ("Access-Control-Request-Headers", "x-one,x-two"))

    assert asked.headers["access-control-allow-headers"] == "x-one,x-two"


async def test_a_preflight_may_be_left_to_the_application() -> None:
    gate = Gate(preflight_continue=True)

    answer = await gate.preflight()

    assert len(gate.app.scopes) == 1
    assert allowed(answer) is None


@pytest.mark.parametrize("missing", ["origin", "method"])
async def test_any_other_options_request_passes(missing: str) -> None:
    gate = Gate()
    headers = PREFLIGHT if missing == "origin" else [("Origin", "http://a.b")]

    await answered(gate.chain, "OPTIONS", headers=headers)

    assert len(gate.app.scopes) == 1


@pytest.mark.parametrize(
    ("origins", "origin", "expected"),
    [
        (["*"], "http://any.com", "*"),
        (["http://example.com", "*"], "http://any.com", "*"),
        (["http://example.com"], "http://other.com", "http://example.com"),
        (["http://a.com", "http://b.com"], "http://b.com", "http://b.com"),
        (["http://a.com", "http://b.com"], "http://c.com", None),
        (["http://a.com", "http://b.com"], "https://b.com", None),
        (["http://a.com", "http://b.com"], "http://b.com:8000", None),
        (["http://a.com", "http://b.com:8000"], "http://b.com:8000", "http://b.com:8000"),
        (["http://a.com", "http://b.com:80"], "http://b.com", "http://b.com"),
        (["http://a.com", "https://b.com"], "https://b.com:443", "https://b.com"),
        (["http://a.com", "b.com"], "http://b.com", None),
        ([r".*\.?example(?:-foo)?.com"], "http://my.example-foo.com", "http://my.example-foo.com"),
        ([r"http://.*\.example\.com"], "http://a.example.com", "http://a.example.com"),
        ([r"^http://.*\.example\.com$"], "http://a.example.com.evil.com", None),
        ([r"http://.*\.example\.com"], "http://evil.com/http://a.example.com", None),
        (["http://a.com", "http://b.com"], "null", None),
        (["http://a.com", "http://b.com"], "http://[::1", None),
    ],
)
async def test_an_origin_is_allowed_as_a_whole(origins: list[str], origin: str, expected: str | None) -> None:
    gate = Gate(origins=origins)

    got, asked = await gate.get(origin), await gate.preflight(origin)

    assert (allowed(got), allowed(asked)) == (expected, expected)
    assert ("vary" in got.headers) is ("*" not in origins)


async def test_with_credentials_the_star_becomes_the_origin() -> None:
    gate = Gate(credentials=True)

    answer = await gate.get("http://example.com:3000")

    assert (allowed(answer), answer.headers["vary"]) == ("http://example.com:3000", "Origin")
    assert answer.headers["access-control-allow-credentials"] == "true"


async def test_who_names_no_origin_gets_the_headers_unless_the_options_say_otherwise() -> None:
    assert allowed(await Gate().get(None)) == "*"
    assert allowed(await Gate(allow_origin_absent=False).get(None)) is None


async def test_answers_of_errors_have_the_headers() -> None:
    async def fail(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("bug")

    chain = chained(App(handle=fail), route({"cors": CorsOptions()}), Parts(Watch()))

    answer = await answered(chain, headers=[("Origin", "http://a.b")])

    assert (answer.status, allowed(answer)) == (500, "*")


@pytest.mark.parametrize("origins", [(), ("http://(.com",), ("",)])
def test_origins_that_are_none_are_refused(origins: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        CorsOptions(origins=origins)
