"""The notifier's memory of one batch."""

from collections import Counter
from collections.abc import Sequence

from actors.mailbox.message import Delivery, Outcome, ack, dead_letter, retry_after
from cache.marks import MarksRead
from services.ledger import Ledger
from services.notifications.doubt import Act, Decision
from services.notifications.retry import Failure
from services.outgoing.message import Outgoing


class Batch:
    """What is known of one batch while it is worked on; deliveries are named by their place in it.

    Attributes:
        accepted: wamids that Meta gave.
        resent: those that are sent for the second time, with the time of the mark that this replaces.
        dead: those that are given up, once that is recorded.
        marked_on_shard: those whose mark stands there.
        marked_in_vain: those that were marked and then had to wait for another, so that they were not sent.
    """

    def __init__(self, batch: Sequence[Delivery], now: float) -> None:
        self.batch = batch
        self.now = now
        self.ledger = Ledger(batch)
        self.counts: Counter[str] = Counter()
        self.messages: dict[int, Outgoing] = {}
        self.tokens: dict[str, str] = {}
        self.shards: dict[str, int] = {}
        self.accepted: dict[int, str] = {}
        self.resent: dict[int, int | None] = {}
        self.dead: dict[int, Failure] = {}
        self.marked_on_shard: set[int] = set()
        self.marked_in_vain: set[int] = set()
        self._open = set(range(len(batch)))

    def settle(self, place: int, outcome: Outcome, word: str) -> None:
        """Give a delivery its outcome, and count it."""
        self.ledger.settle(place, outcome)
        self._open.discard(place)
        self.counts[word] += 1

    def follow(self, one: Outgoing, decision: Decision, marks: MarksRead | None) -> None:
        """Do what was decided on a message that may have been sent."""
        match decision.act:
            case Act.SETTLED:
                self.settle(one.place, ack(), "settled")
            case Act.RECORD:
                self.accepted[one.place] = decision.wamid
            case Act.RESEND:
                mark = None if marks is None else marks.marks.get(one.id)
                self.resent[one.place] = None if mark is None else mark.at_ms
            case Act.GIVE_UP:
                self.dead[one.place] = Failure(dead_letter("in_doubt"), "gave_up", sent_for_certain_not=False)
            case Act.WAIT | Act.MARK_AND_WAIT:
                self.settle(one.place, retry_after(decision.delay_s, "in_doubt"), "in_doubt")
            case Act.SEND:
                pass

    def is_open(self, place: int) -> bool:
        """Whether a delivery has no outcome yet, nor anything to be recorded that decides on it."""
        return place in self._open and place not in self.accepted and place not in self.dead

    def postpone(self, messages: Sequence[Outgoing]) -> list[Outgoing]:
        """Let those wait that come after one that waits, and count them; returns the others."""
        postponed = self.ledger.postpone(one.place for one in messages)
        self._open -= postponed
        self.counts.update("retried" for _ in postponed)
        return [one for one in messages if one.place not in postponed]
