"""What the looks into a journal have seen of the rows of units of work, and for how long that holds. Pure."""

from actors.mailbox.journal import Lease, Tick


class Sight:
    """Up to where the transactional rows of a partition have been seen.

    It holds for one era of the server. One that crashed may give transaction ids again that it had given, where nothing
    durable bore them: a row could then bear one that a look has seen as over. The mark in the journal cannot be ahead
    like that, for the row that holds it bears a later id.

    Attributes:
        swept_to: all rows of transactions before it have been seen.
        snapshot: of the look that has seen all that it shows; empty where only ``swept_to`` is known.
        era: of the server, as ``Tick`` and ``Lease`` tell it.
    """

    def __init__(self) -> None:
        self.swept_to, self.snapshot, self.era = "0", "", 0

    def looked(self, tick: Tick) -> None:
        """All that a look has shown was taken in."""
        self.swept_to, self.snapshot, self.era = tick.swept_to, tick.snapshot, tick.era

    def resume(self, lease: Lease) -> bool:
        """The partition was taken over anew by who has it in memory; False if what had been seen does not hold."""
        holds = lease.era == self.era
        if not holds:
            self.swept_to, self.snapshot, self.era = lease.swept_to, "", lease.era
        return holds
