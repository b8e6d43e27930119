"""What an operator sends is what it says: a text or a truth is no number, whatever it could be read as."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from gateway.faults import faults_of
from services.ops.schemas import PurgeRequest, RedriveRequest
from services.tenants.api_schemas import MoveRequest, RotateRequest, TokenRequest

_NUMBERS: list[tuple[type[BaseModel], str, int]] = [
    (MoveRequest, "shard", 1),
    (RotateRequest, "grace_s", 1),
    (TokenRequest, "ttl_s", 60),
    (RedriveRequest, "limit", 1),
    (RedriveRequest, "per_s", 1),
    (PurgeRequest, "limit", 1),
]


@pytest.mark.parametrize(("body", "field", "number"), _NUMBERS)
def test_a_number_is_taken_and_what_could_be_read_as_one_is_refused_by_its_name(
    body: type[BaseModel], field: str, number: int
) -> None:
    assert getattr(body.model_validate({field: number}), field) == number
    for given in (True, str(number), [number]):
        assert _faulty(body, {field: given}) == [field]


@pytest.mark.parametrize("field", ["all", "dry_run", "force"])
def test_a_truth_is_no_number_and_no_text(field: str) -> None:
    for given in (1, 0, "true", "no"):
        assert _faulty(RedriveRequest, {field: given}) == [field]


def _faulty(body: type[BaseModel], document: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        body.model_validate(document)
    return [name for name, _ in faults_of(caught.value)]
