"""What a failed send means for its delivery. Pure; the caller brings the randomness.

Each cause has a count of its own. A message at which Meta fails again and again is rejected, which costs it one of the
tries that its queue allows, whatever else it has waited for. A number or a pair that is too fast, and a Graph API that
cannot be reached, are paused as such (``pauses``), and that costs no message a try.
"""

from enum import Enum
from typing import NamedTuple

from actors.mailbox.message import Outcome, ack, dead_letter, reject, retry_after
from integrations.whatsapp.classification import PAIR_RATE_LIMIT
from integrations.whatsapp.errors import (
    AuthError,
    DoubtfulSendError,
    InterceptedError,
    NotSentError,
    PermanentError,
    RefusedSendError,
    ThrottledError,
    UnsendableError,
    WhatsAppError,
)
from kernel.growth import growing_s


class RetryPolicy(NamedTuple):
    """How failed sends come again.

    Attributes:
        max_retries: of the queue: rejections that are followed by another try. The next is the last, and its message
            is recorded as failed.
        longest_s: between two tries.
        unreachable_longest_s: between two tries to reach the Graph API.
        doubt_s: until a send in doubt is looked at.
    """

    max_retries: int = 30
    longest_s: float = 60.0
    unreachable_longest_s: float = 10.0
    doubt_s: float = 2.0


class Scope(Enum):
    """What a failure is of: what else would fail the same way now."""

    MESSAGE = "message"
    PAIR = "pair"
    NUMBER = "number"
    """For the rest of the batch; where Meta will be asked again, for all batches."""
    GRAPH = "graph"


class Failure(NamedTuple):
    """What follows from a failed send.

    Attributes:
        outcome: of the delivery, once what is to be recorded is recorded.
        word: for metrics.
        sent_for_certain_not: whether its mark may go.
        error_code: Meta's, for a message that is recorded as failed; None where it named none.
        scope: what else would fail the same way now.
    """

    outcome: Outcome
    word: str
    sent_for_certain_not: bool
    error_code: int | None = None
    scope: Scope = Scope.MESSAGE

    @property
    def state(self) -> str | None:
        """Why it is recorded as failed; None for what may yet be sent. The empty text for what Meta has ruled out."""
        if self.outcome.kind == "ack":
            return ""
        return self.outcome.reason.partition(":")[0] if self.outcome.final else None


def scope_of(error: WhatsAppError) -> Scope:
    """What an error is of."""
    match error:
        case NotSentError():
            return Scope.GRAPH
        case ThrottledError(error_code=code):
            return Scope.PAIR if code == PAIR_RATE_LIMIT else Scope.NUMBER
        case AuthError():
            return Scope.NUMBER
        case _:
            return Scope.MESSAGE


def failure_of(error: WhatsAppError, times: int, jitter: float, policy: RetryPolicy) -> Failure:
    """Read an error of the client's.

    Args:
        error: as raised.
        times: that its cause has struck, this one included: of the message where that is its scope, so one more than
            its retries, else of the pair, the number or the Graph API in a row.
        jitter: 0 to 1, drawn anew each time, so that those who failed together do not come again together.
        policy: limits.
    """
    match error:
        case RefusedSendError():
            return _refusal(error, times, jitter, policy)
        case InterceptedError(http_status_seen=status):
            return Failure(_again(f"intercepted:{status}", times, jitter, policy), "intercepted", True)
        case NotSentError():
            wait_s = _spread(growing_s(times, 0.5, policy.unreachable_longest_s), jitter)
            return Failure(retry_after(wait_s, "not_sent"), "not_sent", True, scope=Scope.GRAPH)
        case UnsendableError():
            return Failure(dead_letter("unsendable"), "unsendable", True)
        case DoubtfulSendError():
            return Failure(retry_after(policy.doubt_s, "in_doubt"), "doubtful", False)
        case _:
            raise error


def _refusal(error: RefusedSendError, times: int, jitter: float, policy: RetryPolicy) -> Failure:
    match error:
        case ThrottledError():
            scope = scope_of(error)
            # Meta's advice for one recipient: 4^X seconds.
            wait_s = _spread(growing_s(times, 1.0, policy.longest_s, 4 if scope is Scope.PAIR else 2), jitter)
            asked_s = error.retry_after_s
            wait_s = wait_s if asked_s is None else max(wait_s, asked_s)
            return Failure(retry_after(wait_s, "throttled"), "throttled", True, scope=scope)
        case AuthError(error_code=code):
            return Failure(dead_letter(f"auth:{code}"), "auth", True, code, Scope.NUMBER)
        case PermanentError(error_code=code):
            return Failure(ack(), "failed", True, code)
        case _:
            reason = f"transient:{error.error_code}"
            return Failure(_again(reason, times, jitter, policy), "transient", True, error.error_code)


def _again(reason: str, times: int, jitter: float, policy: RetryPolicy) -> Outcome:
    if times > policy.max_retries:
        return dead_letter(reason)
    return reject(reason, _spread(growing_s(times, 1.0, policy.longest_s), jitter))


def _spread(wait_s: float, jitter: float) -> float:
    """Up to a quarter more or less."""
    return wait_s * (0.75 + jitter / 2)
