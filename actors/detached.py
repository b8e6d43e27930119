"""Starting actors that outlive whoever starts them, by name, and waiting until they answer."""

from collections.abc import Mapping
from typing import Any

import ray


def start_detached(
    kind: type[Any], wanted: Mapping[str, tuple[Any, ...]], namespace: str, *, timeout_s: float, **options: Any
) -> None:
    """Create the actors that are not there yet; Ray starts them again for as long as they are wanted.

    Blocks. Call it where Ray is initialised, in synchronous code.

    Args:
        kind: their class, which has ``ping``.
        wanted: by name, the arguments of the class.
        namespace: of the names.
        timeout_s: for all of them together to answer.
        options: of Ray's, in the place of ours.

    Raises:
        ray.exceptions.RayError: one could not be created, or did not answer in time.
    """
    remote: Any = ray.remote(kind)
    # What was lost with an actor is asked again by who asked, if it may be.
    ours = {"lifetime": "detached", "get_if_exists": True, "max_restarts": -1, "max_task_retries": 0, "num_cpus": 0}
    actors = [
        remote.options(name=name, namespace=namespace, **(ours | options)).remote(*arguments)
        for name, arguments in wanted.items()
    ]
    ray.get([actor.ping.remote() for actor in actors], timeout=timeout_s)
