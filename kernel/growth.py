"""Pauses that grow with each failure in a row. Pure; whoever wants them spread brings the randomness."""


def growing_s(times: int, first_s: float, longest_s: float, factor: float = 2.0) -> float:
    """``first_s * factor ** (times - 1)``, up to the longest.

    Args:
        times: failures in a row, from 1.
        first_s: after the first.
        longest_s: at most.
        factor: from each to the next.
    """
    return min(longest_s, first_s * factor ** min(times - 1, 30))
