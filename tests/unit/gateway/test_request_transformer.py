"""Kong's cases for request-transformer.

Follows Kong, spec/03-plugins/36-request-transformer/02-access_spec.lua: remove, rename, replace, add and append of
headers, JSON bodies and the query, their order, and templates. Left out: bodies of forms, changes of method and path.
"""

import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import BaseModel, ValidationError

from config.plugins import RequestTransformerOptions
from gateway.chain import Parts, chained
from gateway.operations import Call, Operation
from tests.gateway import Watch
from tests.unit.gateway.bench import App, answered, route

SHOW = Operation("GET", "/{sku}", "Show.")
MAKE = Operation("POST", "/", "Make.", body=BaseModel)
JSON = [("Content-Type", "application/json")]


class Seen:
    """What reached the application."""

    def __init__(self, app: App) -> None:
        scope = app.scopes[-1]
        self.headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        self.query = parse_qs(scope["query_string"].decode(), keep_blank_values=True)
        self.body = app.bodies[-1]
        self.context = app.context

    def header(self, name: str) -> list[str]:
        return [value for one, value in self.headers if one == name]

    def json(self) -> Any:
        return json.loads(self.body)


async def seen(options: dict[str, Any], headers: Any = (), body: Any = b"", query: str = "", path: str = "") -> Seen:
    app = App()
    transformer = {"request-transformer": RequestTransformerOptions.model_validate(options)}
    given = body if isinstance(body, bytes) else json.dumps(body).encode()
    chain = chained(app, route(transformer), Parts(Watch()), (SHOW, MAKE))
    await answered(chain, "GET" if path else "POST", path, headers=headers, body=given, query=query)
    return Seen(app)


@pytest.mark.parametrize(
    ("options", "given", "expected"),
    [
        ({"remove": {"headers": ["X-To-Remove"]}}, [("x-to-remove", "a"), ("x-to-remove", "b")], {}),
        ({"remove": {"headers": ["x-absent"]}}, [("x-k", "1")], {"x-k": ["1"]}),
        ({"rename": {"headers": ["X-Old:X-New"]}}, [("x-old", "a"), ("x-old", "b")], {"x-new": ["a", "b"]}),
        ({"rename": {"headers": ["x-old:x-new"]}}, [("x-new", "keep")], {"x-new": ["keep"]}),
        ({"rename": {"headers": ["x-old:x-new"]}}, [("x-new", "gone"), ("x-old", "a")], {"x-new": ["a"]}),
        ({"rename": {"headers": ["x-old:x-old"]}}, [("x-old", "a")], {"x-old": ["a"]}),
        ({"replace": {"headers": ["X-A:new"]}}, [("x-a", "1"), ("x-a", "2")], {"x-a": ["new"]}),
        ({"replace": {"headers": ["x-a:new"]}}, [("x-b", "1")], {"x-b": ["1"]}),
        ({"replace": {"headers": ["x-a:http://b:80"]}}, [("x-a", "1")], {"x-a": ["http://b:80"]}),
        ({"add": {"headers": ["X-A:new", "x-b:2"]}}, [("x-a", "1")], {"x-a": ["1"], "x-b": ["2"]}),
        ({"append": {"headers": ["X-A:2", "x-a:3", "x-b:1"]}}, [("x-a", "1")], {"x-a": ["1", "2", "3"], "x-b": ["1"]}),
    ],
)  # fmt: skip
async def test_headers(options: Any, given: Any, expected: dict[str, list[str]]) -> None:
    found = await seen(options, given)

    assert {name: found.header(name) for name, _ in found.headers} == expected
    assert {name: [found.context.headers[name.encode()].decode()] for name in expected} == {
        name: values[-1:] for name, values in expected.items()
    }


async def test_the_steps_run_in_kongs_order_whatever_order_they_are_written_in() -> None:
    options = {
        "append": {"headers": ["h1:appended"]},
        "add": {"headers": ["h1:added"]},
        "replace": {"headers": ["h2:replaced"]},
        "rename": {"headers": ["h3:h2"]},
        "remove": {"headers": ["h1"]},
    }

    found = await seen(options, [("h1", "1"), ("h3", "3")])

    assert (found.header("h1"), found.header("h2"), found.header("h3")) == (["added", "appended"], ["replaced"], [])


async def test_the_host_is_the_servers_and_may_only_be_replaced() -> None:
    options = {"remove": {"headers": ["host"]}, "add": {"headers": ["host:a"]}, "append": {"headers": ["Host:b"]}}

    assert (await seen(options, [("Host", "spaza")])).header("host") == ["spaza"]
    assert (await seen({"replace": {"headers": ["host:c"]}}, [("Host", "spaza")])).header("host") == ["c"]


@pytest.mark.parametrize(
    ("options", "given", "expected"),
    [
        ({"remove": {"body": ["a"]}}, {"a": 1, "b": 2}, {"b": 2}),
        ({"rename": {"body": ["a:c"]}}, {"a": 1, "b": 2}, {"b": 2, "c": 1}),
        ({"rename": {"body": ["a:b"]}}, {"a": 1, "b": 2}, {"b": 1}),
        ({"replace": {"body": ["a:x", "z:y"]}}, {"a": {"deep": 1}}, {"a": "x"}),
        ({"replace": {"body": ["a:x"]}}, {"a": False}, {"a": "x"}),
        ({"add": {"body": ["a:x", "b:y"]}}, {"a": 1}, {"a": 1, "b": "y"}),
        ({"append": {"body": ["a:x"]}}, {"a": "1"}, {"a": ["1", "x"]}),
        ({"append": {"body": ["a:x", "a:y"]}}, {"a": [1]}, {"a": [1, "x", "y"]}),
        ({"append": {"body": ["a:x"]}}, {}, {"a": ["x"]}),
        ({"add": {"body": ["a:x"]}}, b"", {"a": "x"}),
        ({"remove": {"body": ["a"]}, "add": {"body": ["a:again"]}}, {"a": 1}, {"a": "again"}),
    ],
)
async def test_json_bodies(options: Any, given: Any, expected: Any) -> None:
    found = (
        await seen(options, [*JSON, ("Content-Length", "999")]) if given == b"" else await seen(options, JSON, given)
    )

    assert found.json() == expected
    assert found.header("content-length") == [str(len(found.body))]
    assert found.context.body == found.body


@pytest.mark.parametrize(
    ("headers", "body"),
    [(JSON, b"not json"), (JSON, b"[1,2]"), ([], b'{"a":1}'), ([("Content-Type", "text/plain")], b'{"a":1}')],
)
async def test_what_is_no_json_object_stays_as_it_is(headers: Any, body: bytes) -> None:
    found = await seen({"remove": {"body": ["a"]}, "append": {"body": ["a:1"]}}, headers, body)

    assert found.body == body


@pytest.mark.parametrize(
    ("options", "query", "expected"),
    [
        ({"remove": {"querystring": ["a"]}}, "a=1&a=2&b=3", {"b": ["3"]}),
        ({"rename": {"querystring": ["a:c"]}}, "a=1&a=2&c=0", {"c": ["1", "2"]}),
        ({"replace": {"querystring": ["a:x", "z:y"]}}, "a=1&a=2", {"a": ["x"]}),
        ({"add": {"querystring": ["a:x", "b:y"]}}, "a=1", {"a": ["1"], "b": ["y"]}),
        ({"append": {"querystring": ["a:x", "b:y"]}}, "a=1", {"a": ["1", "x"], "b": ["y"]}),
        ({"add": {"querystring": ["q:salt & pepper=é"]}}, "", {"q": ["salt & pepper=é"]}),
        ({"add": {"querystring": ["Q:2"]}}, "q=1", {"q": ["1"], "Q": ["2"]}),
        ({"add": {"querystring": ["b:1"]}}, "a=", {"a": [""], "b": ["1"]}),
    ],
)
async def test_the_query(options: Any, query: str, expected: dict[str, list[str]]) -> None:
    assert (await seen(options, query=query)).query == expected


async def test_without_changes_of_the_query_it_stays_byte_for_byte() -> None:
    app = App()
    options = RequestTransformerOptions.model_validate({"add": {"headers": ["x:1"]}})

    await answered(chained(app, route({"request-transformer": options}), Parts(Watch())), query="a=%20&&b")

    assert app.scopes[0]["query_string"] == b"a=%20&&b"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("$(headers.x-shop)", "thandi"),
        ('$(headers["X-Shop"])', "thandi"),
        ("$(headers.x_shop)!", "thandi!"),
        ("$(query_params.q)", "first"),
        ("$(query_params['a b'])", "c"),
        ("$(uri_captures.sku)-$(headers.x-shop)", "bread-thandi"),
        ("$(headers.x-none)", ""),
        ("plain $ and () stay", "plain $ and () stay"),
    ],
)
async def test_templates_name_what_came(value: str, expected: str) -> None:
    options = {"add": {"headers": [f"x-made:{value}"], "body": [f"made:{value}"], "querystring": [f"made:{value}"]}}

    found = await seen(options, [*JSON, ("X-Shop", "thandi")], {}, "q=first&q=second&a+b=c", "/bread")

    assert found.header("x-made") == [expected]
    assert found.json() == {"made": expected}
    assert found.query["made"] == [expected]


async def test_a_template_names_what_came_and_not_what_was_made_of_it() -> None:
    options = {"remove": {"headers": ["x-shop"]}, "add": {"headers": ["x-made:$(headers.x-shop)"]}}

    assert (await seen(options, [("X-Shop", "thandi")])).header("x-made") == ["thandi"]


@pytest.mark.parametrize("value", ["x:$(os.exit)", "x:$(headers.a", "x:$(headers)", "x:$(1+1)", "x:$(shared.a)"])
def test_what_looks_like_a_template_and_is_none_is_refused_at_start(value: str) -> None:
    with pytest.raises(ValidationError, match="template"):
        RequestTransformerOptions.model_validate({"add": {"headers": [value]}})


async def test_what_was_validated_before_is_not_what_there_is_now() -> None:
    app = App()
    options = RequestTransformerOptions.model_validate({"add": {"body": ["a:1"]}})

    async def note(scope: Any, receive: Any, send: Any) -> None:
        from gateway.context import context_of

        context_of(scope).call = Call(SHOW, None, None, None, None)
        await inner(scope, receive, send)

    from gateway.operations import Operations
    from gateway.plugins.request_transformer import RequestTransformer

    inner = RequestTransformer(app, options, Operations((SHOW,)))
    await answered(chained(note, route(), Parts(Watch())), headers=JSON, body=b"{}")

    assert app.context.call is None
