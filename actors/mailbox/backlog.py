"""What waits for the next commit of a partition, and how much of it one commit takes. State without I/O."""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from actors.mailbox.errors import OverloadedError
from actors.mailbox.flight import Cargo, Ending, Publication, Waiting, WriterLimits
from actors.mailbox.journal import Append, Retry
from actors.mailbox.message import Message

_RETRY_AFTER_S = 0.2
_SMALLEST_PART = 1 << 11
# A failure costs all publishers of the partition an answer, so more is tried seldom.
_MORE_AFTER = 64


class Backlog:
    """Appends, settlements and retries that wait. Bounded by number and bytes; so is what a commit takes.

    A commit that failed may have been more than the journal writes in time, so each failure halves what the next one
    takes, down to one of each, and 64 successes in a row double it.

    Attributes:
        messages: appends that wait.
        letter_bytes: the bodies of the dead letters among the settlements.
    """

    def __init__(self, queue: str, limits: WriterLimits) -> None:
        self._queue, self._limits = queue, limits
        self._waiting: deque[Waiting] = deque()
        self._bytes = 0
        self._endings: list[Ending] = []
        self._retries: dict[int, Retry] = {}
        self._parts, self._successes = 1, 0
        self.messages = 0
        self.letter_bytes = 0

    @property
    def appends(self) -> int:
        """Calls that wait for a commit."""
        return len(self._waiting)

    @property
    def settlements(self) -> int:
        """Settlements and retries."""
        return len(self._endings) + len(self._retries)

    def append(self, one: Waiting) -> None:
        """Let messages wait; ``check`` said that they may."""
        self._waiting.append(one)
        self.messages += len(one.messages)
        self._bytes += one.size_bytes

    def check(self, messages: int, size_bytes: int) -> None:
        """Raise ``OverloadedError`` unless so much more may wait."""
        limits = self._limits
        if self.messages + messages > limits.waiting_messages or self._bytes + size_bytes > limits.waiting_bytes:
            raise OverloadedError(self._queue, _RETRY_AFTER_S)

    def end(self, ending: Ending) -> None:
        """Let a settlement wait; a retry of the same message is not written any more."""
        self._endings.append(ending)
        self.letter_bytes += ending.size_bytes
        self._retries.pop(ending.settlement.seq, None)

    def retry(self, retry: Retry) -> None:
        """Let a retry wait, instead of an earlier one of the same message."""
        self._retries[retry.seq] = retry

    def put_back(self, endings: Sequence[Ending], retries: Sequence[Retry]) -> None:
        """What was taken and is not written goes first again, but for retries that something came after."""
        self._endings = [*endings, *self._endings]
        self.letter_bytes += sum(one.size_bytes for one in endings)
        ended = {one.settlement.seq for one in self._endings}
        for retry in retries:
            if retry.seq not in ended:
                self._retries.setdefault(retry.seq, retry)

    def clear_appends(self) -> Sequence[Waiting]:
        """Take out all appends."""
        waiting, self._waiting = self._waiting, deque()
        self.messages = self._bytes = 0
        return waiting

    def forget(self) -> None:
        """Drop settlements and retries."""
        self._endings, self._retries, self.letter_bytes = [], {}, 0

    def failed(self) -> None:
        """A commit was not written in time, or it is not known whether it was."""
        self._parts, self._successes = min(_SMALLEST_PART, self._parts * 2), 0

    def succeeded(self) -> None:
        """A commit was written."""
        self._successes += 1
        if self._successes >= _MORE_AFTER:
            self._parts, self._successes = max(1, self._parts // 2), 0

    def take(self, stamp: Callable[[Sequence[Message]], Sequence[Append]]) -> Cargo:
        """Take out what the next commit writes, at least one of each that waits.

        Args:
            stamp: gives the messages for the queue their seqs.
        """
        most, most_bytes = max(1, self._limits.batch_messages // self._parts), self._limits.batch_bytes // self._parts
        taken, size_bytes = self._take_appends(most, most_bytes)
        stamped = iter(stamp([message for one in taken if not one.dead for message in one.messages]))
        publications = [
            Publication(one, () if one.dead else tuple(islice(stamped, len(one.messages)))) for one in taken
        ]
        number = 0
        for ending in self._endings[:most]:
            size_bytes += ending.size_bytes
            if number and size_bytes > most_bytes:
                break
            number += 1
        endings, self._endings = self._endings[:number], self._endings[number:]
        self.letter_bytes -= sum(one.size_bytes for one in endings)
        seqs = list(islice(self._retries, most))
        return Cargo(publications, endings, [self._retries.pop(seq) for seq in seqs])

    def _take_appends(self, most: int, most_bytes: int) -> tuple[list[Waiting], int]:
        taken: list[Waiting] = []
        messages = size_bytes = 0
        while self._waiting:
            one = self._waiting[0]
            if taken and (messages + len(one.messages) > most or size_bytes + one.size_bytes > most_bytes):
                break
            taken.append(self._waiting.popleft())
            messages += len(one.messages)
            size_bytes += one.size_bytes
        self.messages -= messages
        self._bytes -= size_bytes
        return taken, size_bytes
