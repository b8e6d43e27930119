"""Which standby becomes the primary. Pure.

A commit is confirmed when one of the standbys has it on its disk. So it is lost only if the one that is promoted does
not have it, and the one with the highest received position has all that any of them has.
"""

from collections.abc import Sequence
from typing import NamedTuple

from cluster.errors import PromotionRefusedError


class Asked(NamedTuple):
    """What a standby has said.

    Attributes:
        name: of its part.
        received: up to where it has the primary's log on its disk, in bytes; None if it could not be asked.
        reason: why it could not be.
        strayed: it has not followed the primary since that was promoted, so its position is of another log.
    """

    number: int
    name: str
    received: int | None
    reason: str = ""
    strayed: bool = False


def chosen(asked: Sequence[Asked], *, force: bool) -> Asked:
    """The standby to promote; of those that are equally far the first.

    Args:
        asked: all standbys.
        force: go on although some could not be asked; a commit that only those have is lost then.

    Raises:
        PromotionRefusedError: there is none, none could be asked, or some could not and it is not forced.
    """
    if not asked:
        raise PromotionRefusedError("there is no standby to promote", "Start with `spaza up --replicas 2`")
    able = [one for one in asked if one.received is not None and not one.strayed]
    silent = [one for one in asked if one not in able]
    said = "; ".join(f"{one.name}: {one.reason or 'it has not followed the last promotion'}" for one in silent)
    if not able and force:
        able = [one for one in asked if one.received is not None]
    if not able:
        raise PromotionRefusedError(f"no standby can be asked how far it is ({said})", "See their logs")
    if silent and not force:
        raise PromotionRefusedError(
            f"not all standbys can be asked how far they are ({said}), and one of those may have a confirmed commit "
            "that no other has",
            "Wait until it runs; or, if it will not, promote with --force, which may lose such commits",
        )
    return max(able, key=lambda one: (one.received or 0, -one.number))


def position(text: str) -> int:
    """A position in the log, such as ``0/3000148``, in bytes."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def position_text(position_bytes: int) -> str:
    """The same as PostgreSQL writes it."""
    return f"{position_bytes >> 32:X}/{position_bytes & 0xFFFFFFFF:X}"
