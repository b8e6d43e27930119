"""The plugin over an application that trusts it. How a request is held against the models: ``test_api.py``.

Kong keeps the tests of request-validator to itself; these follow its documentation.
"""

from typing import Any

import pytest
from pydantic import BaseModel

from config.plugins import RequestValidatorOptions
from gateway.api import Api, Endpoint
from gateway.asgi import Receive, Scope, Send
from gateway.chain import Parts, chained
from gateway.context import RequestContext, context_of
from gateway.errors import UnbuiltChainError
from gateway.operations import Call, Operation
from tests.gateway import Watch
from tests.unit.gateway.bench import Answered, App, answered, route


class Thing(BaseModel):
    name: str


PUT = Operation("PUT", "/{sku}", "Keep a thing.", body=Thing)


class Gate:
    def __init__(self, **options: Any) -> None:
        self.calls: list[Call | None] = []
        self.watch = Watch()
        validator = {"request-validator": RequestValidatorOptions(**options)}
        self.chain = chained(App(handle=self.handle), route(validator), Parts(self.watch), (PUT,))

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls.append(context_of(scope).call)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def put(self, body: bytes, content_type: str = "application/json", path: str = "/bread") -> Answered:
        return await answered(self.chain, "PUT", path, body=body, headers=[("Content-Type", content_type)])


async def test_what_is_right_passes_and_is_handed_on_as_the_models_have_it() -> None:
    gate = Gate()

    assert (await gate.put(b'{"name":"Bread"}')).status == 200
    assert gate.calls == [Call(PUT, Thing(name="Bread"), None, None, None)]


async def test_what_is_wrong_is_refused_naming_the_field_unless_fields_are_not_to_be_named() -> None:
    verbose, terse = Gate(), Gate(verbose_response=False)

    told, hidden = await verbose.put(b"{}"), await terse.put(b"{}")

    assert (told.status, hidden.status) == (400, 400)
    assert told.json()["errors"] == [{"field": "name", "message": "is missing; it is required"}]
    assert told.json()["message"] == hidden.json()["message"] == "request body doesn't conform to schema"
    assert "errors" not in hidden.json()
    assert verbose.calls == []
    assert verbose.watch.refusals == [("things", "request-validator", 400, True)]


@pytest.mark.parametrize(("counts", "statuses"), [(True, (200, 400, 400)), (False, (200, 200, 400))])
async def test_a_content_type_is_compared_with_its_parameters_or_without(
    counts: bool, statuses: tuple[int, ...]
) -> None:
    gate = Gate(content_type_parameter_validation=counts)
    types = ("application/json", "application/json; charset=utf-8", "application/xml")

    answers = [await gate.put(b'{"name":"Bread"}', one) for one in types]

    assert tuple(one.status for one in answers) == statuses
    assert answers[2].json()["message"] == "specified Content-Type is not allowed"


async def test_what_is_no_operation_is_left_to_the_application() -> None:
    gate = Gate()

    assert (await gate.put(b"{}", path="/a/b/c")).status == 200
    assert gate.calls == [None]


async def test_in_shadow_what_is_wrong_is_counted_and_passes() -> None:
    gate = Gate(mode="shadow")

    assert (await gate.put(b"{}")).status == 200
    assert gate.calls == [None]
    assert gate.watch.refusals == [("things", "request-validator", 400, False)]


@pytest.mark.parametrize(("body", "status"), [(b'{"name":"Bread"}', 204), (b"{}", 400), (b"not JSON", 400)])
async def test_in_shadow_the_application_is_asked_what_can_be_read_whatever_it_is_called(
    body: bytes, status: int
) -> None:
    asked: list[Call] = []

    async def keep(call: Call, _context: RequestContext) -> None:
        asked.append(call)

    api, watch = Api([Endpoint(PUT, keep)]), Watch()
    shadow = {"request-validator": RequestValidatorOptions(mode="shadow")}
    chain = chained(api, route(shadow), Parts(watch), api.operations)

    answer = await answered(chain, "PUT", "/bread", body=body, headers=[("Content-Type", "text/plain")])

    assert answer.status == status
    assert [call.body for call in asked] == ([Thing(name="Bread")] if status == 204 else [])
    assert watch.refusals == [("things", "request-validator", 400, False)]


def test_a_route_without_operations_cannot_be_validated() -> None:
    with pytest.raises(UnbuiltChainError, match="needs operations"):
        chained(App(), route({"request-validator": RequestValidatorOptions()}), Parts(Watch()))
