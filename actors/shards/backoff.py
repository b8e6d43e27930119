"""How long to wait before another try."""

import random

from kernel.growth import growing_s

_FIRST_S, _LONGEST_S = 0.005, 0.25


def retry_delay_s(tries: int) -> float:
    """Seconds before the next try: doubling with each, at most a quarter of a second, and half of it random.

    Args:
        tries: tries so far, from 1.
    """
    return growing_s(tries, _FIRST_S, _LONGEST_S) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads rivals, protects nothing
