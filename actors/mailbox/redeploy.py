"""What becomes of mailbox actors that run already when a program starts them: kept if alike, else handed over.

They are detached and outlive the program, and so would the settings and the code with which they were started.
"""

import contextlib
import hashlib
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from telemetry.log import get_logger

_ASK_S, _STOP_S, _GONE_S, _LOOK_S = 5.0, 8.0, 10.0, 0.05
_log = get_logger("mailbox")


def deployed_as(*settings: Any) -> str:
    """A name for an actor's settings and for the code of this package: another one for whatever differs."""
    return hashlib.sha256(f"{_release()} {settings!r}".encode()).hexdigest()[:16]


def retire_changed(wanted: Mapping[str, str], namespace: str) -> list[str]:
    """Let actors that were deployed otherwise write what is settled, hand their partitions over, and end.

    Blocks. What is published meanwhile is refused, and its publishers try again.

    Args:
        wanted: ``deployed_as`` by actor name.
        namespace: of the actors.

    Returns:
        The names of those that were ended.
    """
    changed = {name: actor for name, release in wanted.items() if (actor := _other_than(name, release, namespace))}
    # All at once: each has its time.
    stops = [actor.stop.remote() for actor in changed.values()]
    with contextlib.suppress(RayError, GetTimeoutError):
        ray.get(stops, timeout=_STOP_S)
    for name, actor in changed.items():
        ray.kill(actor, no_restart=True)
        _until_gone(name, namespace)
        _log.info("mailbox_redeployed", actor=name)
    return list(changed)


def _other_than(name: str, release: str, namespace: str) -> Any:
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


@lru_cache(maxsize=1)
def _release() -> str:
    folder = Path(__file__).parent
    files = sorted([*folder.glob("*.py"), *folder.glob("*.sql")])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
