"""Faults of requests, and that there are never more of them than somebody can use."""

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.api import Api, Endpoint
from gateway.chain import Parts, chained
from gateway.faults import crowded, faults_of
from gateway.operations import Operation
from tests.gateway import Watch
from tests.unit.gateway.bench import answered, route


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str


def _error(**given: Any) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Thing.model_validate(given)
    return caught.value


@pytest.mark.parametrize(("unknown", "named", "left"), [(3, 3, 0), (100, 100, 0), (101, 100, 1), (900, 100, 800)])
def test_a_hundred_are_named_and_the_others_counted(unknown: int, named: int, left: int) -> None:
    faults = faults_of(_error(name="x", **{f"f{number}": 0 for number in range(unknown)}))

    assert [field for field, _ in faults[:named]] == [f"f{number}" for number in range(named)]
    assert faults[named:] == (
        (("body", f"has {left} faults more; correct these, and it will name them"),) if left else ()
    )


def test_of_too_many_none_is_named() -> None:
    [(field, message)] = faults_of(_error(name="x", **{f"f{number}": 0 for number in range(1_001)}))

    assert (field, message.partition(",")[0]) == ("body", "has 1001 faults")


@pytest.mark.parametrize("document", [{}, {"a": {"b": 1}}, {str(n): n for n in range(1_000)}, [[{}] * 5_000], None, 1])
def test_what_a_model_may_have_is_not_crowded(document: Any) -> None:
    assert crowded(document) is None


@pytest.mark.parametrize("around", [lambda one: one, lambda one: [0, one], lambda one: {"a": [{"b": one}]}])
def test_an_object_with_more_names_than_any_model_has_is_crowded(around: Any) -> None:
    assert crowded(around({str(n): n for n in range(1_001)})) is not None


async def test_a_crowded_body_is_refused_before_it_is_held_against_the_model() -> None:
    held: list[Any] = []

    class Watched(BaseModel):
        @classmethod
        def model_validate(cls, obj: Any, **_more: Any) -> Any:
            held.append(obj)
            raise AssertionError

    async def never(*_: Any) -> None:
        raise AssertionError

    api = Api([Endpoint(Operation("POST", "/", "Make.", body=Watched), never)])
    body = b"{%s}" % b",".join(b'"%d":0' % number for number in range(1_001))
    answer = await answered(chained(api, route(), Parts(Watch()), api.operations), "POST", body=body)

    assert (answer.status, held) == (400, [])
    assert answer.json()["errors"][0]["field"] == "body"
