"""Kong's cases for response-transformer.

Follows Kong, spec/03-plugins/15-response-transformer/01-header_transformer_spec.lua, 02-body_transformer_spec.lua,
04-filter_spec.lua and 05-big_response_body_spec.lua.
"""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from actors.shards.errors import InvalidCursorError
from config.plugins import (
    CorsOptions,
    IpRestrictionOptions,
    Options,
    RequestTransformerOptions,
    ResponseTransformerOptions,
)
from gateway.api import Api, Endpoint
from gateway.asgi import Receive, Scope, Send
from gateway.chain import Parts, chained
from gateway.context import RequestContext
from gateway.operations import Call, Operation
from tests.gateway import Watch
from tests.unit.gateway.bench import Answered, App, answered, route

JSON = (b"content-type", b"application/json; charset=utf-8")


async def test_it_sees_the_headers_of_the_plugins_before_it_and_they_are_there_once() -> None:
    options = {
        "remove": {"headers": ["Access-Control-Expose-Headers"]},
        "rename": {"headers": ["X-Correlation-ID:X-Trace"]},
        "replace": {"headers": ["Access-Control-Allow-Origin:https://shop.example"]},
        "add": {"headers": ["Access-Control-Allow-Origin:null", "X-Added:1"]},
    }
    plugins: dict[str, Options] = {
        "cors": CorsOptions(exposed_headers=("X-Total",)),
        "response-transformer": ResponseTransformerOptions.model_validate(options),
    }

    answer = await answered(chained(App({}), route(plugins), Parts(Watch())), headers=[("X-Correlation-ID", "mine")])

    assert sorted(answer.raw) == [
        (b"access-control-allow-origin", b"https://shop.example"),
        (b"content-type", b"application/json"),
        (b"x-added", b"1"),
        (b"x-trace", b"mine"),
    ]


async def test_what_the_application_refuses_is_an_answer_of_the_application() -> None:
    async def fail(call: Call, context: RequestContext) -> None:
        raise InvalidCursorError("products")

    options = {
        "remove": {"headers": ["X-Correlation-ID"]},
        "add": {"headers": ["X-Added:1"], "json": ["served_by:spaza"]},
    }
    api = Api([Endpoint(Operation("GET", "/", "Fail."), fail)])
    plugins: dict[str, Options] = {"response-transformer": ResponseTransformerOptions.model_validate(options)}

    answer = await answered(chained(api, route(plugins), Parts(Watch())))

    assert (answer.status, answer.headers.get("x-added"), "x-correlation-id" in answer.headers) == (400, "1", False)
    assert answer.json()["served_by"] == "spaza"


async def test_what_a_plugin_refuses_stays_as_it_is() -> None:
    options = {"remove": {"headers": ["X-Correlation-ID"]}}
    plugins: dict[str, Options] = {
        "ip-restriction": IpRestrictionOptions.model_validate({"deny": ["127.0.0.1"]}),
        "response-transformer": ResponseTransformerOptions.model_validate(options),
    }

    answer = await answered(chained(App({}), route(plugins), Parts(Watch())))

    assert (answer.status, "x-correlation-id" in answer.headers) == (403, True)


async def transformed(
    options: Any, document: Any = None, headers: Any = (JSON,), method: str = "GET", handle: Any = None
) -> Answered:
    app = App(document, headers=headers, handle=handle)
    transformer = {"response-transformer": ResponseTransformerOptions.model_validate(options)}
    return await answered(chained(app, route(transformer), Parts(Watch())), method)


def values(answer: Answered, name: str) -> list[str]:
    return [value.decode() for one, value in answer.raw if one.decode() == name]


@pytest.mark.parametrize(
    ("options", "given", "expected"),
    [
        ({"remove": {"headers": ["H1"]}}, ["h1=a", "h1=b", "h2=c"], {"h2": ["c"]}),
        ({"rename": {"headers": ["H1:H2"]}}, ["h1=a", "h2=b"], {"h2": ["a"]}),
        ({"rename": {"headers": ["h3:h2"]}}, ["h1=a"], {"h1": ["a"]}),
        ({"replace": {"headers": ["h1:new", "h3:x"]}}, ["h1=a"], {"h1": ["new"]}),
        ({"add": {"headers": ["h1:new", "h3:x"]}}, ["h1=a"], {"h1": ["a"], "h3": ["x"]}),
        ({"append": {"headers": ["h1:b", "h1:c"]}}, ["h1=a"], {"h1": ["a", "b", "c"]}),
        ({"remove": {"headers": ["h1"]}, "add": {"headers": ["h1:again"]}}, ["h1=a"], {"h1": ["again"]}),
    ],
)
async def test_headers(options: Any, given: list[str], expected: dict[str, list[str]]) -> None:
    pairs = [(name.encode(), value.encode()) for name, _, value in (one.partition("=") for one in given)]

    answer = await transformed(options, headers=[(b"content-type", b"text/plain"), *pairs])

    names = {"h1", "h2", "h3"} & set(answer.headers)
    assert {name: values(answer, name) for name in names} == expected


@pytest.mark.parametrize(
    ("options", "given", "expected"),
    [
        ({"remove": {"json": ["p1"]}}, {"p1": "v1", "p2": 2}, {"p2": 2}),
        ({"rename": {"json": ["p1:k1"]}}, {"p1": {"a": 1}}, {"k1": {"a": 1}}),
        ({"replace": {"json": ["p1:v2", "p2:v2"]}}, {"p1": "v1"}, {"p1": "v2"}),
        ({"replace": {"json": ["p1:5"], "json_types": ["number"]}}, {"p1": 0}, {"p1": 5}),
        ({"add": {"json": ["p1:v2", "p2:v2"]}}, {"p1": "v1"}, {"p1": "v1", "p2": "v2"}),
        (
            {"add": {"json": ["a:-1.5", "b:true", "c:false", "d:7"], "json_types": ["number", "boolean", "boolean"]}},
            {},
            {"a": -1.5, "b": True, "c": False, "d": "7"},
        ),
        ({"add": {"json": ['p:"v"', "q:a/b:c"]}}, {}, {"p": '"v"', "q": "a/b:c"}),
        ({"append": {"json": ["p1:v2"]}}, {"p1": "v1"}, {"p1": ["v1", "v2"]}),
        ({"append": {"json": ["p1:v2", "p1:v3"]}}, {"p1": ["v1"]}, {"p1": ["v1", "v2", "v3"]}),
        ({"append": {"json": ["p1:1"], "json_types": ["number"]}}, {}, {"p1": [1]}),
        ({"remove": {"json": ["p1"]}, "add": {"json": ["p1:again"]}}, {"p1": 1}, {"p1": "again"}),
        ({"remove": {"json": ["a"]}}, {"a": 1, "b": [], "c": {}, "d": None}, {"b": [], "c": {}, "d": None}),
        ({"remove": {"json": ["a"]}}, [{"a": 1}], [{"a": 1}]),
    ],
)
async def test_json_bodies(options: Any, given: Any, expected: Any) -> None:
    answer = await transformed(options, given)

    assert answer.json() == expected
    assert answer.headers["content-length"] == str(len(answer.body))


@pytest.mark.parametrize(
    ("content_type", "changed"),
    [
        (b"application/json", True),
        (b"APPLICATION/JSON;charset=utf-8", True),
        (b"text/html", False),
        (b"application/problem+json", False),
        (b"application/jsonp", False),
    ],
)
async def test_only_json_is_changed(content_type: bytes, changed: bool) -> None:
    answer = await transformed({"remove": {"json": ["a"]}}, {"a": 1}, headers=[(b"content-type", content_type)])

    assert (answer.json() == {}) is changed


async def test_a_large_body_in_pieces_is_changed_as_a_whole() -> None:
    document = {"a": "x" * 1024 * 1024, "b": 1}
    body = json.dumps(document).encode()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": 201, "headers": [JSON, length]})
        for at in range(0, len(body), 65536):
            await send({"type": "http.response.body", "body": body[at : at + 65536], "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    answer = await transformed({"remove": {"json": ["a"]}, "add": {"json": ["c:1"]}}, handle=stream)

    assert (answer.status, answer.json()) == (201, {"b": 1, "c": "1"})
    assert values(answer, "content-length") == [str(len(answer.body))]


async def test_what_says_it_is_json_and_is_not_stays_as_it_is() -> None:
    async def wrong(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [JSON]})
        await send({"type": "http.response.body", "body": b"{not json"})

    assert (await transformed({"remove": {"json": ["a"]}}, handle=wrong)).body == b"{not json"


async def test_an_answer_to_head_and_one_without_a_body_have_no_wrong_length() -> None:
    async def empty(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [JSON, (b"content-length", b"99")]})
        await send({"type": "http.response.body", "body": b""})

    head = await transformed({"remove": {"json": ["a"]}}, handle=empty, method="HEAD")
    none = await transformed({"remove": {"json": ["a"]}}, handle=empty)

    assert ("content-length" in head.headers, none.headers["content-length"]) == (False, "0")


async def test_what_the_gateway_itself_answers_stays_as_it_is() -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("bug")

    answer = await transformed({"remove": {"json": ["message"], "headers": ["x-correlation-id"]}}, handle=fail)

    assert answer.json()["message"] == "An unexpected error occurred"
    assert "x-correlation-id" in answer.headers


async def _templated(options: Any, *, query: str = "", headers: Any = ()) -> Answered:
    transformer = {"response-transformer": ResponseTransformerOptions.model_validate(options)}
    show = Operation("GET", "/{sku}", "Show.")
    chain = chained(App({"a": 1}, headers=(JSON,)), route(transformer), Parts(Watch()), (show,))
    return await answered(chain, path="/bread", query=query, headers=headers)


async def test_templates_name_the_request() -> None:
    options = {
        "add": {
            "headers": ["X-Sku:$(uri_captures.sku)", "X-Asked:$(query_params.q), $(headers.x_from)"],
            "json": ["sku:$(uri_captures.sku)", "pages:$(query_params.pages)"],
            "json_types": ["string", "number"],
        },
        "replace": {"json": ["a:of $(headers['X-From'])"]},
    }

    answer = await _templated(options, query="q=milk&pages=3", headers=[("X-From", "me")])

    assert (answer.headers["x-sku"], answer.headers["x-asked"]) == ("bread", "milk, me")
    assert answer.json() == {"a": "of me", "sku": "bread", "pages": 3}
    assert int(answer.headers["content-length"]) == len(answer.body)


async def test_a_caller_writes_no_headers_of_his_own_through_a_template() -> None:
    options = {"add": {"headers": ["X-Asked:$(query_params.q)"]}}

    answer = await _templated(options, query="q=a%0d%0aSet-Cookie:%20b%E6%97%A5")

    assert answer.headers["x-asked"] == "a  Set-Cookie: b?"


@pytest.mark.parametrize(
    "options",
    [
        {"add": {"headers": ["x-a:\u65e5\u672c"]}},
        {"add": {"headers": ["x-\u65e5:v"]}},
        {"append": {"headers": ["x-a:b\r\nx-c:d"]}},
        {"remove": {"headers": ["x a"]}},
        {"rename": {"headers": ["x-a:x \u65e5"]}},
    ],
)
@pytest.mark.parametrize("kind", [ResponseTransformerOptions, RequestTransformerOptions])
def test_what_no_header_can_hold_is_refused_at_start(kind: type[Options], options: Any) -> None:
    with pytest.raises(ValidationError):
        kind.model_validate(options)
