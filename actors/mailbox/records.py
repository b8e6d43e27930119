"""Between what happens to messages in memory and the records that the journal takes. Pure."""

from collections.abc import Sequence

from actors.mailbox.journal import Append, Retry, Settlement, Written
from actors.mailbox.lane import Verdict
from actors.mailbox.redriven import stored_id
from actors.mailbox.rows import published_day


def settlement_of(verdict: Verdict) -> Settlement:
    """The end of a message. The verdict must have a cause."""
    entry = verdict.entry
    assert verdict.cause is not None
    return Settlement(entry.seq, published_day(entry.message), verdict.cause, verdict.reason, entry.deliveries)


def retry_of(verdict: Verdict, *, now: float, wall: float) -> Retry:
    """Another try of a message.

    Args:
        verdict: without a cause.
        now: the window's clock.
        wall: Unix seconds at that moment.
    """
    entry = verdict.entry
    wait_s = max(0.0, verdict.not_before - now)
    return Retry(entry.seq, entry.retries, entry.lost, wall + wait_s, entry.deferred_s, verdict.reason)


def new_arrivals(appends: Sequence[Append], written: Written) -> list[tuple[int, Append]]:
    """Which appends of a flush were not there before, with their seqs, in order; the others are duplicates."""
    seqs: dict[str, list[int]] = {}
    for message_id, seq in written.rows:
        seqs.setdefault(message_id, []).append(seq)
    arrivals = []
    for append in appends:
        given = seqs.get(stored_id(append.message))
        if given and append.seq is None:
            arrivals.append((given.pop(0), append))
        elif given and append.seq is not None and append.seq in given:
            arrivals.append((append.seq, append))
    return arrivals
