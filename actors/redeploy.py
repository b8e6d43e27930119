"""What becomes of actors that run already when a program starts them: kept if alike, else stopped and replaced.

They are detached and outlive the program, and so would the settings and the code with which they were started. Such an
actor says by ``deployed()`` how it was started, and ends its work by ``stop()``.
"""

import contextlib
import hashlib
import re
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from telemetry.log import get_logger

_ASK_S, _STOP_S, _GONE_S, _LOOK_S = 5.0, 8.0, 10.0, 0.05
_CODE = frozenset({".py", ".sql", ".yaml"})
_log = get_logger("redeploy")


def deployed_as(release: str, *settings: Any) -> str:
    """A name for an actor's settings and the code that it runs: another one for whatever differs."""
    return hashlib.sha256(f"{release} {settings!r}".encode()).hexdigest()[:16]


def retire_changed(wanted: Mapping[str, str], namespace: str, *, family: str | None = None) -> list[str]:
    """Let actors that were deployed otherwise finish what they do, and end them.

    Blocks. Calls meanwhile fail as if the actor had been restarted.

    Args:
        wanted: ``deployed_as`` by actor name.
        namespace: of the actors.
        family: a pattern for the names of all of their kind; those that are not wanted any more are ended as well.

    Returns:
        The names of those that were ended.
    """
    names = {*wanted, *(_named(family, namespace) if family is not None else ())}
    changed = {name: actor for name in names if (actor := _other_than(name, wanted.get(name), namespace))}
    # All at once: each has its time.
    stops = [actor.stop.remote() for actor in changed.values()]
    with contextlib.suppress(RayError, GetTimeoutError):
        ray.get(stops, timeout=_STOP_S)
    for name, actor in changed.items():
        ray.kill(actor, no_restart=True)
        _until_gone(name, namespace)
        _log.info("actor_retired", actor=name)
    return list(changed)


def _named(family: str, namespace: str) -> Iterable[str]:
    named = ray.util.list_named_actors(all_namespaces=True)
    return [one["name"] for one in named if one["namespace"] == namespace and re.fullmatch(family, one["name"])]


def _other_than(name: str, release: str | None, namespace: str) -> Any:
    """The actor of that name, if there is one that was deployed otherwise or does not answer."""
    try:
        actor: Any = ray.get_actor(name, namespace=namespace)
    except ValueError:
        return None
    try:
        known = ray.get(actor.deployed.remote(), timeout=_ASK_S)
    except (RayError, GetTimeoutError, AttributeError):
        return actor
    return None if known == release else actor


def _until_gone(name: str, namespace: str) -> None:
    deadline = time.monotonic() + _GONE_S
    while time.monotonic() < deadline:
        try:
            ray.get_actor(name, namespace=namespace)
        except ValueError:
            return
        time.sleep(_LOOK_S)


@lru_cache(maxsize=8)
def release_of(*folders: Path) -> str:
    """A name for the code, the statements and the policies below some folders."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.suffix in _CODE):
            digest.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
