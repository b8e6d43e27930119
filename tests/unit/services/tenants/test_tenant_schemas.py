import json
from typing import Any

import pytest
from pydantic import ValidationError

from services.tenants.schemas import TenantSpec


def _spec(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Thandi's Spaza",
        "phone_numbers": [{"phone_number_id": "100000000000001", "display_phone_number": "+27110000001"}],
        "location": {"lat": -26.2485, "lon": 27.8540},
        "whatsapp": {"access_token": "token"},
        **changes,
    }


def test_a_tenant_is_described_by_the_shape_of_the_api() -> None:
    spec = TenantSpec.model_validate(
        _spec(
            whatsapp={"access_token": "token", "waba_id": "200000000000001", "catalog_id": "3"},
            limits={"minute": 10, "hour": 20},
        )
    )

    assert spec.whatsapp.waba_id == "200000000000001"
    assert spec.limits.minute == 10


def test_what_may_be_left_out_may_be_null_as_well_and_is_documented_so() -> None:
    left_out = TenantSpec.model_validate(_spec())

    assert TenantSpec.model_validate(_spec(payments=None, limits=None)) == left_out
    assert TenantSpec.model_validate_json(json.dumps(_spec(payments=None, limits=None))) == left_out
    fields = TenantSpec.model_json_schema()["properties"]
    for name, model in (("payments", "Payments"), ("limits", "Limits")):
        assert fields[name]["anyOf"] == [{"$ref": f"#/$defs/{model}"}, {"type": "null"}]


def test_an_access_token_is_masked_when_printed() -> None:
    spec = TenantSpec.model_validate(_spec(whatsapp={"access_token": "hush"}))

    assert "hush" not in repr(spec)
    assert "hush" not in spec.model_dump_json()


@pytest.mark.parametrize("token", ["töken", "token\n", "to\r\nken", "to\0ken", " token", "to ken", "\x7f", "\ud800"])
def test_an_access_token_that_fits_no_header_is_refused_with_a_reason_and_not_shown(token: str) -> None:
    with pytest.raises(ValidationError, match="visible ASCII") as caught:
        TenantSpec.model_validate(_spec(whatsapp={"access_token": token}))

    assert "ken" not in str(caught.value).replace("access_token", "")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "  "},
        {"phone_numbers": []},
        {"phone_numbers": [{"phone_number_id": "12a", "display_phone_number": "+27110000001"}]},
        {"phone_numbers": [{"phone_number_id": "12", "display_phone_number": "0110000001"}]},
        {"phone_numbers": [{"phone_number_id": "12", "display_phone_number": "+27110000001"}] * 2},
        {"location": {"lat": 91, "lon": 0}},
        {"location": {"lat": "1", "lon": 0}},
        {"location": {"lat": 0, "lon": True}},
        {"whatsapp": {"access_token": ""}},
        {"whatsapp": {"access_token": "x", "waba_id": "abc"}},
        {"limits": {"minute": 0}},
        {"limits": {"minute": True}},
        {"limits": {"minute": "5"}},
        {"limits": {"minute": 2**31}},
        {"limits": {"hour": 2**63}},
        {"limits": {"minute": 8, "hour": 7}},
        {"name": "\0"},
        {"name": "Thandi's\nSpaza"},
        {"name": "\u202eevil\u001b[31m\u0007"},
        {"colour": "red"},
        {"payments": {"paystack": {}}},
        {"payments": {"paystack": {"secret_key": "has space"}}},
        {"payments": {"ozow": {"site_code": "A B", "private_key": "x", "api_key": "y"}}},
        {"payments": {"ozow": {"site_code": "AB", "private_key": "x"}}},
        {"payments": {"stripe": {}}},
    ],
)
def test_what_cannot_be_right_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TenantSpec.model_validate(_spec(**changes))


@pytest.mark.parametrize("name", ["Thandi's Spaza", "Café Ÿ & Söhne", "دکان می\u200cروم", "👩\u200d🍳 כשר"])
def test_names_of_all_languages_are_taken(name: str) -> None:
    assert TenantSpec.model_validate(_spec(name=name)).name == name


def test_a_name_with_what_is_not_seen_is_refused_by_its_name() -> None:
    with pytest.raises(ValidationError) as caught:
        TenantSpec.model_validate(_spec(name="a\0b"))

    [fault] = caught.value.errors()
    assert fault["loc"] == ("name",)
    assert "control characters" in fault["msg"]
