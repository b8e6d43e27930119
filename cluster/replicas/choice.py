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
        reading: it has more on its disk than it has read since it was started, and nobody knows how much.
    """

    number: int
    name: str
    received: int | None
    reason: str = ""
    strayed: bool = False
    reading: bool = False

    @property
    def doubt(self) -> str:
        """Why its position cannot be compared with those of others; empty if it can."""
        if self.received is None:
            return self.reason
        if self.strayed:
            return "it has not followed the last promotion"
        return "it still reads the log that is on its disk" if self.reading else ""

    def is_settled(self, before: "Asked | None") -> bool:
        """Whether to ask again would tell nothing more.

        Args:
            before: what it said when it was asked the last time.
        """
        if self.received is None:
            return True
        return not self.reading and before is not None and before.received == self.received


def chosen(asked: Sequence[Asked], *, force: bool) -> Asked:
    """The standby to promote; of those that are equally far the first.

    Args:
        asked: all standbys.
        force: go on although it is not known of all how far they are; a commit that only those have is lost then.

    Raises:
        PromotionRefusedError: there is none, of none it is known, or of some it is not and it is not forced.
    """
    if not asked:
        raise PromotionRefusedError("there is no standby to promote", "Start with `spaza up --replicas 2`")
    able = [one for one in asked if not one.doubt]
    silent = [one for one in asked if one.doubt]
    said = "; ".join(f"{one.name}: {one.doubt}" for one in silent)
    if not able and force:
        answering = [one for one in asked if one.received is not None]
        able = [one for one in answering if not one.strayed] or answering
    if not able:
        raise PromotionRefusedError(f"no standby can be asked how far it is ({said})", "See their logs")
    if silent and not force:
        raise PromotionRefusedError(
            f"not all standbys can be asked how far they are ({said}), and one of those may have a confirmed commit "
            "that no other has",
            "Wait until it runs and has read its log; or, if it will not, promote with --force, which may lose such "
            "commits",
        )
    return max(able, key=lambda one: (one.received or 0, -one.number))


def position(text: str) -> int:
    """A position in the log, such as ``0/3000148``, in bytes."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def position_text(position_bytes: int) -> str:
    """The same as PostgreSQL writes it."""
    return f"{position_bytes >> 32:X}/{position_bytes & 0xFFFFFFFF:X}"
