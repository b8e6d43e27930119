"""How far a message that we sent has come. It only moves up, whatever the order in which statuses arrive.

Meta's statuses come out of order and twice, and some never come: ``delivered`` is left out where the message was
read at once. A failure counts only while there is no sign that the message arrived, so it ranks below ``delivered``.
The state is therefore the highest rank seen, and any order of the same statuses ends in the same state.

The notifier tells more of a message that is ``queued`` by its rank: ``resent``, which went out twice and may have been
taken, and ``failed:<reason>``, a dead letter.
"""

from collections.abc import Mapping
from types import MappingProxyType

QUEUED, ACCEPTED, SENT, FAILED, DELIVERED, READ, PLAYED = range(7)
UNRANKED = -1
"""A status that is kept and moves nothing, such as one that Meta invents later."""

RANKS: Mapping[str, int] = MappingProxyType(
    {
        "queued": QUEUED,
        "accepted": ACCEPTED,
        "sent": SENT,
        "failed": FAILED,
        "delivered": DELIVERED,
        "read": READ,
        "played": PLAYED,
    }
)
# Ours; Meta cannot set them.
_OWN = frozenset({"queued", "accepted"})


def rank_of_status(status: str) -> int:
    """The rank to which a status of Meta's moves a message; ``UNRANKED`` for one that is not known."""
    return UNRANKED if status in _OWN else RANKS.get(status, UNRANKED)
