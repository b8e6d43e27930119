"""What the load generator is asked, and what it answers: JSON on its standard input and output."""

import time
from dataclasses import asdict, dataclass

import orjson


@dataclass(frozen=True, slots=True)
class Job:
    """One run of load.

    Attributes:
        url: the webhook.
        first: sequence number of the first message.
        count: how many messages.
        connections: how many keep-alive connections; with a rate, the most that may be open.
        rate: messages a second, sent on schedule whatever the answers do (open loop); None sends the next
            message of a connection when its last is answered (closed loop).
        timeout_s: how long one answer is waited for.
    """

    url: str
    first: int
    count: int
    connections: int
    rate: float | None = None
    timeout_s: float = 30.0

    def encode(self) -> bytes:
        return orjson.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What one run of load saw, by message, in the order of the sequence numbers.

    Attributes:
        due_s: when each message was to be sent: on the schedule in open loop, when it was sent in closed loop.
        answered_s: when its answer was complete, or the wait for it over.
        statuses: the HTTP status; 0 where the connection broke or the wait was over.
        cpu_s: CPU that the generator itself used between the first message and the last answer.

    All instants are of ``time.monotonic``, which the processes of one machine share.
    """

    first: int
    due_s: list[float]
    answered_s: list[float]
    statuses: list[int]
    cpu_s: float

    def encode(self) -> bytes:
        return orjson.dumps(asdict(self))

    @property
    def latencies_s(self) -> list[float]:
        """Of each message, counted from when it was due, so that a stall is charged to all whom it delayed."""
        return [answered - due for due, answered in zip(self.due_s, self.answered_s, strict=True)]

    @property
    def elapsed_s(self) -> float:
        return max(self.answered_s) - min(self.due_s)

    @property
    def refused(self) -> int:
        """How many messages were not answered 200."""
        return sum(status != 200 for status in self.statuses)


def now() -> float:
    """The clock of all measurements."""
    return time.monotonic()
