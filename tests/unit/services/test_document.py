"""The OpenAPI document: valid, of all that is served, and of what is validated."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from actors.rate_limiter.decision import Decision, WindowState
from config.routes_file import load_routes
from gateway.plugins.rate_limiting import told
from services.catalog import operations as catalog
from services.catalog.routes import ProductsApi
from services.documented import document_of
from services.ops import operations as ops
from services.ops.routes import OpsApp
from services.tenants import operations as tenants
from services.tenants.requests import PUBLIC_KEY_ALGORITHM
from services.tenants.routes import TenantsApp


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return document_of(load_routes())


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, one in item.items():
            yield path, method, one


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_each_operation_is_named_once_and_refuses_in_the_one_shape(document: dict[str, Any]) -> None:
    names = [one["operationId"] for _, _, one in operations(document)]

    assert len(set(names)) == len(names) > 25
    refused = document["components"]["schemas"]["Refused"]
    assert set(refused["properties"]) == {"message", "request_id", "errors"}
    for path, method, one in operations(document):
        assert {"500", "502", "503", "504"} <= set(one["responses"]), f"{method} {path}"
        refusals = [given for status, given in one["responses"].items() if status >= "400"]
        assert all("$ref" in given or "content" in given for given in refusals), f"{method} {path}"


def test_who_may_call_is_said_of_each(document: dict[str, Any]) -> None:
    schemes = {
        (path, method): [name for each in one["security"] for name in each]
        for path, method, one in operations(document)
    }

    assert schemes["/api/v1/products", "get"] == schemes["/api/v1/usage", "get"] == ["tenant"]
    assert schemes["/api/v1/tenants", "post"] == schemes["/api/v1/mailboxes/{queue}/purge", "post"] == ["admin"]
    assert schemes["/api/v1/webhooks/whatsapp", "post"] == ["signature"]
    assert schemes["/api/v1/webhooks/whatsapp", "get"] == schemes["/docs", "get"] == schemes["/", "get"] == []


def test_operators_are_asked_for_their_name_and_nobody_else_is(document: dict[str, Any]) -> None:
    asked = {
        (path, method): "X-Operator" in [each["name"] for each in one["parameters"]]
        for path, method, one in operations(document)
    }
    operators = {(path, method) for path, method, one in operations(document) if {"admin": []} in one["security"]}

    assert {at for at, is_asked in asked.items() if is_asked} == operators
    assert ("/api/v1/mailboxes/{queue}/purge", "post") in operators


def test_parameters_and_bodies_are_those_of_the_models(document: dict[str, Any]) -> None:
    listing = document["paths"]["/api/v1/products"]["get"]
    limit = next(one for one in listing["parameters"] if one["name"] == "limit")
    lat = next(one for one in listing["parameters"] if one["name"] == "lat")
    created = document["paths"]["/api/v1/tenants"]["post"]

    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 500, "default": 50}
    assert (lat["schema"], lat["required"]) == ({"type": "number", "minimum": -90, "maximum": 90}, False)
    assert "words" in next(one for one in listing["parameters"] if one["name"] == "q")["description"]
    assert [one["name"] for one in created["parameters"]] == ["Idempotency-Key", "X-Operator", "X-Correlation-ID"]
    assert created["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/TenantSpec"
    }
    batch = document["components"]["schemas"]["BatchRequest"]["properties"]["products"]
    assert (batch["maxItems"], sorted(batch["items"]["required"])) == (1000, ["name", "price", "sku"])


def test_what_a_tenants_answers_say_of_its_limits_is_documented(document: dict[str, Any]) -> None:
    sent = {
        name.decode() for name, _ in told(Decision(1, 1, WindowState(100, 99, 1.0), WindowState(5_000, 4_999, 1.0)))
    }
    listing = document["paths"]["/api/v1/products"]["get"]["responses"]

    for answer in (listing["200"], document["components"]["responses"]["Refused429"]):
        assert {name.lower() for name in answer["headers"]} >= sent
        for one in answer["headers"].values():
            assert one["$ref"].rpartition("/")[2] in document["components"]["headers"]
    assert "X-RateLimit-Limit-Minute" not in document["paths"]["/healthz"]["get"]["responses"]["200"]["headers"]


def test_each_algorithm_of_a_credential_is_documented(document: dict[str, Any]) -> None:
    said = document["components"]["securitySchemes"]["tenant"]["description"]

    assert all(name in said for name in ("HS256", PUBLIC_KEY_ALGORITHM))


def pairs(of: Sequence[Any]) -> set[tuple[str, str]]:
    return {(one.method, one.path) for one in of}


def test_what_operators_can_ask_is_documented_and_nothing_else() -> None:
    nothing: Any = None

    assert TenantsApp(nothing, nothing, ()).operations == tenants.OPERATIONS
    assert OpsApp(nothing, nothing).operations == ops.MAILBOXES


def test_what_merchants_can_ask_is_documented_and_nothing_else() -> None:
    assert ProductsApi(None).operations == catalog.OPERATIONS  # type: ignore[arg-type]
