"""What a route can be asked to do, held against its models: 400 naming each field."""

import json
from typing import Annotated, Any, Self

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.api import Answer, Api, Endpoint, Given, RefusedError
from gateway.asgi import Receive, Scope, Send
from gateway.chain import Parts, chained
from gateway.context import RequestContext
from gateway.operations import Call, Matched, Operation, Operations
from tests.gateway import Watch
from tests.unit.gateway.bench import Answered, answered, route


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Thing(Model):
    name: Annotated[str, Field(max_length=5)]
    price: int
    tags: tuple[str, ...] = ()


class Wanted(Model):
    q: str = ""
    limit: int = Field(default=20, ge=1, le=100)
    ids: tuple[str, ...] = ()


class Named(Model):
    sku: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]


class Keyed(Model):
    idempotency_key: str


PUT = Operation("PUT", "/{sku}", "Keep a thing.", body=Thing, path_parameters=Named)
LIST = Operation("GET", "/", "List things.", query=Wanted)
BATCH = Operation("POST", "/batch", "Keep many.", body=Thing, headers=Keyed, answers={201: Thing})
OPTIONAL = Operation("POST", "/{sku}/sync", "Sync.", body=Wanted, path_parameters=Named, body_required=False)
DELETE = Operation("DELETE", "/{sku}", "Remove.", path_parameters=Named, answers={204: None})
HELD = Operation("GET", "/held", "A path that a pattern fits as well.")


class Things:
    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.given: Given = None
        self.error: Exception | None = None
        operations = [PUT, LIST, BATCH, OPTIONAL, DELETE, HELD]
        self.app = chained(Api([Endpoint(one, self.handle) for one in operations]), route(), Parts(Watch()))

    async def handle(self, call: Call, context: RequestContext) -> Given:
        self.calls.append(call)
        if self.error is not None:
            raise self.error
        return self.given

    async def ask(self, method: str, path: str, document: Any = None, *headers: Any, query: str = "") -> Answered:
        body = document if isinstance(document, bytes) else b"" if document is None else json.dumps(document).encode()
        return await answered(self.app, method, path, body=body, headers=headers, query=query)


def fields(answer: Answered) -> list[str]:
    return [one["field"] for one in answer.json()["errors"]]


async def test_a_handler_gets_what_was_asked_as_the_models_have_it() -> None:
    things = Things()

    await things.ask("PUT", "/bread", {"name": "Bread", "price": 1999})
    await things.ask("GET", "", query="q=milk&limit=5&ids=a&ids=b")
    await things.ask("POST", "/batch", {"name": "Milk", "price": 1}, ("Idempotency-Key", "k1"))
    await things.ask("POST", "/bread/sync")

    put, listed, batch, synced = things.calls
    assert (put.path, put.body, put.query) == (Named(sku="bread"), Thing(name="Bread", price=1999), None)
    assert listed.query == Wanted(q="milk", limit=5, ids=("a", "b"))
    assert batch.headers == Keyed(idempotency_key="k1")
    assert synced.body == Wanted()


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        ({"name": "Bread"}, ["price"]),
        ({"name": "Bread and more", "price": "x"}, ["name", "price"]),
        ({"name": "Bread", "price": 1, "tags": ["a", 7]}, ["tags.1"]),
        ({"name": "Bread", "price": 1, "prise": 2}, ["prise"]),
        ([], ["body"]),
        (b"{", ["body"]),
        (b'{"name": "\xff", "price": 1}', ["body"]),
        (b'{"name": NaN}', ["body"]),
        (b"[" * 100_000, ["body"]),
        (None, ["body"]),
    ],
)
async def test_a_wrong_body_is_refused_naming_each_field(document: Any, wrong: list[str]) -> None:
    things = Things()

    answer = await things.ask("PUT", "/bread", document)

    assert (answer.status, answer.json()["message"]) == (400, "request body doesn't conform to schema")
    assert fields(answer) == wrong
    assert all(one["message"] for one in answer.json()["errors"])
    assert things.calls == []


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "wrong"),
    [
        ("GET", "", "limit=0", (), ["limit"]),
        ("GET", "", "limit=x&foo=1", (), ["limit", "foo"]),
        ("GET", "", "q=a&q=b", (), ["q"]),
        ("GET", "", "q=%ff", (), ["query"]),
        ("GET", "", "&".join(f"ids={n}" for n in range(101)), (), ["query"]),
        ("DELETE", "/BREAD", "", (), ["sku"]),
        ("DELETE", "/a b", "", (), ["sku"]),
    ],
)
async def test_a_wrong_parameter_is_refused_naming_it(
    method: str, path: str, query: str, headers: Any, wrong: list[str]
) -> None:
    answer = await Things().ask(method, path, None, *headers, query=query)

    assert (answer.status, answer.json()["message"]) == (400, "request param doesn't conform to schema")
    assert fields(answer) == wrong


class Measured(Model):
    limit: int = Field(default=20, ge=1, le=100)
    lat: Annotated[float, Field(ge=-90, le=90)] | None = None
    all: bool = False


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("limit=5&lat=-26.24&all=true", []),
        ("limit=05&lat=1e1&all=false", []),
        ("lat=-0", []),
        *((f"limit={text}", ["limit"]) for text in ["1.0", "1_0", "%2B5", "+5", "5%20", "%D9%A5", "1e1", "0x5", "-1"]),
        *((f"lat={text}", ["lat"]) for text in ["nan", "inf", "-Infinity", "1_0", "%2B5", ".5", "5.", "01", "1e400"]),
        *((f"all={text}", ["all"]) for text in ["1", "yes", "True", "on"]),
        ("limit=&lat=&all=", ["limit", "lat", "all"]),
        ("limit=1_0&lat=91&all=t&q=1", ["limit", "all", "lat", "q"]),
        ("limit=1_0&limit=2", ["limit", "limit"]),
    ],
)
async def test_numbers_and_truths_in_a_query_are_written_as_json_has_them(query: str, wrong: list[str]) -> None:
    async def handle(_call: Call, _context: RequestContext) -> Given:
        return {}

    operation = Operation("GET", "/", "Measure.", query=Measured)
    api = chained(Api([Endpoint(operation, handle)]), route(), Parts(Watch()))

    answer = await answered(api, query=query)

    assert answer.status == (400 if wrong else 200)
    assert (fields(answer) if wrong else []) == wrong


class Together(Model):
    table: str | None = None
    key: str | None = None

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.table is None) is not (self.key is None):
            raise ValueError("table and key go together")
        return self


async def test_what_parameters_lack_together_is_told_of_the_query_and_not_of_a_body() -> None:
    async def handle(_call: Call, _context: RequestContext) -> Given:
        return {}

    operation = Operation("GET", "/", "Go on.", query=Together)
    api = chained(Api([Endpoint(operation, handle)]), route(), Parts(Watch()))

    answer = await answered(api, query="key=a")

    assert answer.json()["errors"] == [{"field": "query", "message": "table and key go together"}]


async def test_a_header_that_is_missing_is_named_as_callers_write_it() -> None:
    answer = await Things().ask("POST", "/batch", {"name": "Milk", "price": 1})

    assert fields(answer) == ["Idempotency-Key"]


async def test_everything_that_is_wrong_is_named_at_once() -> None:
    assert fields(await Things().ask("PUT", "/BREAD", {"name": "Bread"})) == ["sku", "price"]


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, 204),
        ("application/json", 204),
        ("Application/JSON; charset=utf-8", 204),
        ("text/plain", 400),
        ("application/jsonp", 400),
        ("", 400),
    ],
)
async def test_only_the_content_types_of_an_operation_are_taken(content_type: str | None, status: int) -> None:
    headers = [] if content_type is None else [("Content-Type", content_type)]

    answer = await Things().ask("PUT", "/bread", {"name": "Bread", "price": 1}, *headers)

    assert answer.status == status
    if status == 400:
        assert answer.json()["message"] == "specified Content-Type is not allowed"
        assert fields(answer) == ["Content-Type"]


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/bread/nothing", 404, None),
        ("GET", "/bread/", 405, "DELETE, PUT"),
        ("PATCH", "", 405, "GET, HEAD"),
        ("PUT", "/held", 405, "GET, HEAD"),
        ("POST", "/held", 405, "GET, HEAD"),
        ("HEAD", "", 204, None),
        ("GET", "/held", 204, None),
    ],
)
async def test_what_is_not_there_is_404_and_a_wrong_method_says_which_there_are(
    method: str, path: str, status: int, allow: str | None
) -> None:
    answer = await Things().ask(method, path)

    assert (answer.status, answer.headers.get("allow")) == (status, allow)


async def test_a_handler_answers_with_data_a_model_a_status_or_an_application() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 202, "headers": [(b"x", b"1")]})
        await send({"type": "http.response.body", "body": b"raw"})

    answers: list[tuple[int, bytes]] = []
    things = Things()
    given: list[Given] = [{"a": 1}, Thing(name="a", price=1), Answer(201, {"b": 2}, ((b"etag", b'"1"'),)), None, app]
    for one in given:
        things.given = one
        answer = await things.ask("GET", "")
        answers.append((answer.status, answer.body))

    assert answers == [
        (200, b'{"a": 1}'.replace(b" ", b"")),
        (200, b'{"name":"a","price":1,"tags":[]}'),
        (201, b'{"b":2}'),
        (204, b""),
        (202, b"raw"),
    ]


async def test_a_handler_may_refuse_in_the_one_shape() -> None:
    things = Things()
    things.error = RefusedError(409, "The sku is taken", (("sku", "is taken; choose another"),))

    answer = await things.ask("GET", "")

    assert answer.status == 409
    assert answer.json() == {
        "message": "The sku is taken",
        "request_id": answer.headers["x-correlation-id"],
        "errors": [{"field": "sku", "message": "is taken; choose another"}],
    }


def test_what_looks_like_a_pattern_in_a_path_is_taken_literally() -> None:
    operations = Operations([Operation("GET", "/a.b/{id}", "Dots.")])

    assert isinstance(operations.find("GET", "/a.b/1"), Matched)
    assert operations.find("GET", "/axb/1") == frozenset()


class Listed(Model):
    ids: Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=2)] | None = None


async def test_a_list_that_may_be_left_out_takes_all_values_of_its_name() -> None:
    seen: list[Any] = []

    async def handle(asked: Call, _context: RequestContext) -> Given:
        seen.append(asked.query.ids)
        return {}

    api = chained(Api([Endpoint(Operation("GET", "/", "List.", query=Listed), handle)]), route(), Parts(Watch()))

    statuses = [(await answered(api, query=query)).status for query in ("ids=a&ids=b", "", "ids=a&ids=b&ids=c")]

    assert (statuses, seen) == ([200, 200, 400], [["a", "b"], None])


async def test_what_is_not_built_yet_is_not_there_whatever_else_fits_its_path() -> None:
    async def handle(_call: Call, _context: RequestContext) -> Given:
        return {}

    api = chained(Api([Endpoint(PUT, handle)], planned=[("POST", "/sync")]), route(), Parts(Watch()))

    statuses = [(await answered(api, method, path)).status for method, path in (
        ("POST", "/sync"), ("POST", "/other"), ("DELETE", "/sync"),
    )]  # fmt: skip

    assert statuses == [404, 405, 405]
