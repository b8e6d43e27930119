"""How long to wait before another try."""

import random

_FIRST_S, _LONGEST_S = 0.005, 0.25


def retry_delay_s(tries: int) -> float:
    """Seconds before the next try: doubling with each, at most a quarter of a second, and half of it random.

    Args:
        tries: tries so far, from 1.
    """
    longest_s = min(_LONGEST_S, _FIRST_S * 2.0 ** min(tries - 1, 10))
    return longest_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads rivals, protects nothing
