"""Whether the applications of Serve can take requests, by what its controller and they themselves say. Pure."""

from collections.abc import Collection, Mapping
from typing import Any, Final

_RUNNING: Final = "RUNNING"


def running_replicas(deployment: Any) -> int:
    """How many replicas of a deployment take requests."""
    states = {str(getattr(state, "value", state)): number for state, number in deployment.replica_states.items()}
    return int(states.get(_RUNNING, 0))


def application_faults(
    applications: Mapping[str, Any], wanted: Collection[str], silent: Collection[str] = ()
) -> list[str]:
    """What keeps applications from taking requests; empty when all is well.

    Args:
        applications: by name, as ``serve.status().applications`` gives them.
        wanted: those that are to be there.
        silent: those that do not answer.
    """
    faults = [f"{name} is not there" for name in wanted if name not in applications]
    for name, application in applications.items():
        status = str(getattr(application.status, "value", application.status))
        idle = [one for one, deployment in application.deployments.items() if not running_replicas(deployment)]
        if idle:
            faults.append(f"{name}: no replica of {', '.join(idle)} runs")
        elif status != _RUNNING:
            faults.append(f"{name} is {status.lower()}")
        elif name in silent:
            faults.append(f"{name} does not answer")
    return faults
