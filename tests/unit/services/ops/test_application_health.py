from types import SimpleNamespace
from typing import Any

import pytest

from services.ops.application_health import application_faults, running_replicas


def application(status: str, **replicas: int) -> Any:
    deployment = SimpleNamespace(replica_states={state.upper(): number for state, number in replicas.items()})
    return SimpleNamespace(status=status, deployments={"Products": deployment})


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (application("RUNNING", running=1), []),
        (application("RUNNING", running=2, stopping=1), []),
        (application("RUNNING", starting=1), ["products: no replica of Products runs"]),
        (application("RUNNING"), ["products: no replica of Products runs"]),
        (application("UNHEALTHY", running=1), ["products is unhealthy"]),
    ],
)
def test_an_application_is_well_when_a_replica_of_each_part_takes_requests(one: Any, said: list[str]) -> None:
    assert application_faults({"products": one}, ["products"]) == said


def test_one_of_which_nobody_answers_is_named_once_whatever_its_controller_says() -> None:
    well, gone = application("RUNNING", running=1), application("RUNNING", starting=1)

    faults = application_faults({"products": well, "webhook": gone, "ops": well}, [], ["products", "webhook"])

    assert faults == ["products does not answer", "webhook: no replica of Products runs"]


def test_one_that_is_not_there_is_named() -> None:
    assert application_faults({}, ["products"]) == ["products is not there"]


def test_what_only_starts_is_not_counted() -> None:
    assert running_replicas(application("RUNNING", running=1, starting=2).deployments["Products"]) == 1
