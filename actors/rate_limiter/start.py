"""Starts the rate limiter actors."""

from collections.abc import Callable
from typing import Final

from actors.detached import start_detached
from actors.rate_limiter.actor import RateLimiterActor
from actors.rate_limiter.handle import FAMILY, NAMESPACE, actor_name
from actors.rate_limiter.store import CounterStore
from actors.redeploy import deployed_as, retire_changed

# Calls of one process to one actor that may be under way; a handle has far fewer.
_PENDING_CALLS: Final = 64


def start_rate_limiters(
    limiters: int,
    store: Callable[[], CounterStore],
    *,
    settings: str,
    release: str = "",
    log_level: str = "INFO",
    timeout_s: float = 60.0,
) -> None:
    """Create the limiters that are not there yet, and wait until all answer.

    Those that run with other settings or code write what they have counted first, and are replaced.

    Call it where Ray is initialised, in synchronous code.

    Args:
        limiters: how many.
        store: makes the store of the counters in each actor's process; is pickled.
        settings: of the store, as a text that is another one whenever they are.
        release: names the code; actors with another one are replaced.
        log_level: of the actors.
        timeout_s: for all of them together.

    Raises:
        ray.exceptions.RayError: an actor could not be created, or did not answer in time.
    """
    deployed = deployed_as(release, limiters, settings, log_level)
    wanted = {actor_name(number): (number, limiters, store, log_level, deployed) for number in range(limiters)}
    retire_changed(dict.fromkeys(wanted, deployed), NAMESPACE, family=FAMILY)
    start_detached(RateLimiterActor, wanted, NAMESPACE, timeout_s=timeout_s, max_pending_calls=_PENDING_CALLS)
