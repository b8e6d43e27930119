"""What is let in as a product, and what is refused with its name."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.faults import faults_of
from services.catalog.schemas import ListQuery, ProductBody, ProductSpec

BREAD: dict[str, Any] = {"sku": "bread-white", "name": "White bread", "price": {"amount": 1999, "currency": "ZAR"}}


def faults(document: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        ProductSpec.model_validate(document)
    return [field for field, _ in faults_of(caught.value)]


@pytest.mark.parametrize(
    "changes",
    [
        {"price": {"amount": 0}}, {"price": {"amount": 10**12, "currency": "USD"}}, {"stock": None}, {"stock": 0},
        {"stock": 10**9}, {"location": {"lat": -90, "lon": 180.0}}, {"location": None}, {"category": None},
        {"image_url": "https://example.com/a.png?b=1#c"}, {"description": "é" * 5000}, {"name": "x" * 200},
        {"sku": "9"}, {"sku": "A._-" + "a" * 96},
    ],
    ids=str,
)  # fmt: skip
def test_a_product_within_its_limits_is_let_in(changes: dict[str, Any]) -> None:
    assert ProductSpec.model_validate({**BREAD, **changes}).sku


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"name": ""}, ["name"]),
        ({"name": "  "}, ["name"]),
        ({"name": "x" * 201}, ["name"]),
        ({"name": "a\0b"}, ["name"]),
        ({"name": 5}, ["name"]),
        ({"description": "x" * 5001}, ["description"]),
        ({"description": "\0"}, ["description"]),
        ({"price": 19.99}, ["price"]),
        ({"price": "R19.99"}, ["price"]),
        ({"price": {"amount": 19.99}}, ["price.amount"]),
        ({"price": {"amount": 19.0}}, ["price.amount"]),
        ({"price": {"amount": "1999"}}, ["price.amount"]),
        ({"price": {"amount": True}}, ["price.amount"]),
        ({"price": {"amount": -1}}, ["price.amount"]),
        ({"price": {"amount": 10**12 + 1}}, ["price.amount"]),
        ({"price": {"amount": 10**30}}, ["price.amount"]),
        ({"price": {"currency": "ZAR"}}, ["price.amount"]),
        ({"price": {"amount": 1, "currency": "zar"}}, ["price.currency"]),
        ({"price": {"amount": 1, "currency": "ZARR"}}, ["price.currency"]),
        ({"price": {"amount": 1, "currency": "XYZ"}}, ["price.currency"]),
        ({"sku": "batch"}, ["sku"]),
        ({"sku": "sync"}, ["sku"]),
        ({"price": {"amount": 1, "currency": "ZAR\n"}}, ["price.currency"]),
        ({"price": {"amount": 1, "vat": 15}}, ["price.vat"]),
        ({"stock": -1}, ["stock"]),
        ({"stock": 1.5}, ["stock"]),
        ({"stock": "7"}, ["stock"]),
        ({"stock": 10**9 + 1}, ["stock"]),
        ({"stock": False}, ["stock"]),
        ({"location": {"lat": 91, "lon": 0}}, ["location.lat"]),
        ({"location": {"lat": 0, "lon": 180.1}}, ["location.lon"]),
        ({"location": {"lat": 0}}, ["location.lon"]),
        ({"location": {"lat": "0", "lon": True}}, ["location.lat", "location.lon"]),
        ({"location": [0, 0]}, ["location"]),
        ({"category": ""}, ["category"]),
        ({"category": "x" * 101}, ["category"]),
        ({"category": "\0"}, ["category"]),
        ({"image_url": "ftp://example.com/a.png"}, ["image_url"]),
        ({"image_url": "javascript:alert(1)"}, ["image_url"]),
        ({"image_url": "https://a b"}, ["image_url"]),
        ({"image_url": "https://" + "a" * 2000}, ["image_url"]),
        ({"sku": ""}, ["sku"]),
        ({"sku": "a/b"}, ["sku"]),
        ({"sku": "a b"}, ["sku"]),
        ({"sku": "é"}, ["sku"]),
        ({"sku": "-a"}, ["sku"]),
        ({"sku": "a" * 101}, ["sku"]),
        ({"sku": "a\n"}, ["sku"]),
        ({"colour": "red", "tenant_id": "x"}, ["colour", "tenant_id"]),
    ],
    ids=str,
)
def test_whatever_is_wrong_is_refused_by_its_name(changes: dict[str, Any], fields: list[str]) -> None:
    assert faults({**BREAD, **changes}) == fields


def test_a_body_needs_no_sku_and_what_is_read_can_be_put_back() -> None:
    read = ProductSpec.model_validate(BREAD).model_dump()

    assert ProductBody.model_validate(read).sku == "bread-white"
    assert ProductBody.model_validate({"name": "X", "price": {"amount": 1}}).price.currency == "ZAR"


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ({"lat": "1"}, ["lon"]),
        ({"lon": "1"}, ["lon"]),
        ({"lat": "x", "lon": "1"}, ["lat"]),
        ({"lat": "nan", "lon": "inf"}, ["lat", "lon"]),
        ({"lat": "91", "lon": "0"}, ["lat"]),
        ({"radius_km": "0"}, ["radius_km"]),
        ({"radius_km": "inf"}, ["radius_km"]),
        ({"limit": "0"}, ["limit"]),
        ({"limit": "501"}, ["limit"]),
        ({"limit": "ten"}, ["limit"]),
        ({"q": "x" * 201}, ["q"]),
        ({"cursor": "x" * 4097}, ["cursor"]),
        ({"page": "2"}, ["page"]),
    ],
    ids=str,
)
def test_a_wrong_parameter_is_refused_by_its_name(query: dict[str, str], fields: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        ListQuery.model_validate(query)

    assert [field for field, _ in faults_of(caught.value)] == fields


def test_a_page_is_of_fifty_products_within_ten_kilometres() -> None:
    query = ListQuery.model_validate({"lat": "-26.2", "lon": "27.8"})

    assert (query.limit, query.radius_km, query.q, query.cursor) == (50, 10.0, None, None)
