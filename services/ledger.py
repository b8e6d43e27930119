"""The outcomes of one batch of deliveries, for who consumes a mailbox."""

from collections.abc import Iterable, Sequence

from actors.mailbox.message import Delivery, Outcome, retry_after


class Ledger:
    """The outcomes of one batch, each given once, and the keys that must wait.

    Its invariant: once a message of a key is to come again, the later ones of that key are as well, so that what
    shares a key stays in order. Deliveries are named by their place in the batch.
    """

    def __init__(self, batch: Sequence[Delivery]) -> None:
        self._batch = batch
        self._outcomes: list[Outcome | None] = [None] * len(batch)
        # By key: the earliest that is to come again.
        self._waiting: dict[str, int] = {}

    def settle(self, place: int, outcome: Outcome) -> None:
        """Give a delivery its outcome."""
        assert self._outcomes[place] is None
        self._outcomes[place] = outcome
        if outcome.comes_again:
            key = self._batch[place].message.key
            self._waiting[key] = min(place, self._waiting.get(key, place))

    def postpone(self, places: Iterable[int]) -> set[int]:
        """Let those come again that follow one of their key that does, before any work on them; returns which."""
        postponed: set[int] = set()
        for place in places:
            waiting = self._waiting.get(self._batch[place].message.key, place)
            before = self._outcomes[waiting]
            if waiting < place and before is not None:
                self.settle(place, retry_after(before.delay_s, "after_another"))
                postponed.add(place)
        return postponed

    def outcomes(self) -> list[Outcome]:
        """All outcomes, in the order of the batch."""
        settled = [outcome for outcome in self._outcomes if outcome is not None]
        assert len(settled) == len(self._batch)
        return settled
