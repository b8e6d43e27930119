"""What a failed send means for its delivery. Pure; the caller brings the randomness."""

from typing import NamedTuple

from actors.mailbox.message import Outcome, ack, reject, retry_after
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


class RetryPolicy(NamedTuple):
    """How failed sends come again.

    Attributes:
        longest_s: between two tries.
        doubt_s: until a send in doubt is looked at.
        transient_attempts: of a message at which Meta, or something before it, fails again and again, before it
            becomes a dead letter. Waiting in doubt counts as well, so it leaves room for that.
    """

    longest_s: float = 60.0
    doubt_s: float = 2.0
    transient_attempts: int = 30


class Failure(NamedTuple):
    """What follows from a failed send.

    Attributes:
        outcome: of the delivery, once what is to be recorded is recorded.
        word: for metrics.
        sent_for_certain_not: whether its mark may go.
        error_code: Meta's, for a message that is recorded as failed; None where it named none.
        whole_number: whether the rest of the number's messages would fail the same way now.
    """

    outcome: Outcome
    word: str
    sent_for_certain_not: bool
    error_code: int | None = None
    whole_number: bool = False

    @property
    def state(self) -> str | None:
        """Why it is recorded as failed; None for what may yet be sent. The empty text for what Meta has ruled out."""
        if self.outcome.kind == "ack":
            return ""
        return self.outcome.reason.partition(":")[0] if self.outcome.kind == "reject" else None


def failure_of(error: WhatsAppError, attempt: int, jitter: float, policy: RetryPolicy) -> Failure:
    """Read an error of the client's.

    Args:
        error: as raised.
        attempt: of this delivery, from 1.
        jitter: 0 to 1, drawn anew each time, so that those who failed together do not come again together.
        policy: limits.
    """
    if isinstance(error, RefusedSendError):
        return _refusal(error, attempt, jitter, policy)
    if isinstance(error, NotSentError):
        wait_s = _growing(0.5, 2, attempt, jitter, policy)
        return Failure(retry_after(wait_s, "not_sent"), "not_sent", True)
    if isinstance(error, InterceptedError):
        wait_s = _growing(1.0, 2, attempt, jitter, policy)
        exhausted = attempt >= policy.transient_attempts
        outcome = reject(f"intercepted:{error.http_status_seen}") if exhausted else retry_after(wait_s, "intercepted")
        return Failure(outcome, "intercepted", True)
    if isinstance(error, UnsendableError):
        return Failure(reject("unsendable"), "unsendable", True)
    if isinstance(error, DoubtfulSendError):
        return Failure(retry_after(policy.doubt_s, "in_doubt"), "doubtful", False)
    raise error


def _refusal(error: RefusedSendError, attempt: int, jitter: float, policy: RetryPolicy) -> Failure:
    match error:
        case ThrottledError():
            pair = error.error_code == PAIR_RATE_LIMIT
            # Meta's advice for one recipient: 4^X seconds.
            wait_s = _growing(1.0, 4 if pair else 2, attempt, jitter, policy)
            asked_s = error.retry_after_s
            wait_s = wait_s if asked_s is None else max(wait_s, asked_s)
            return Failure(retry_after(wait_s, "throttled"), "throttled", True, whole_number=not pair)
        case AuthError():
            return Failure(reject(f"auth:{error.error_code}"), "auth", True, error.error_code, whole_number=True)
        case PermanentError():
            return Failure(ack(), "failed", True, error.error_code)
        case _ if attempt >= policy.transient_attempts:
            return Failure(reject(f"transient:{error.error_code}"), "transient", True, error.error_code)
        case _:
            return Failure(retry_after(_growing(1.0, 2, attempt, jitter, policy), "transient"), "transient", True)


def _growing(first_s: float, factor: int, attempt: int, jitter: float, policy: RetryPolicy) -> float:
    """``first_s * factor ** (attempt - 1)``, up to the longest, and up to half of it more or less at random."""
    grown_s = min(first_s * float(factor) ** min(attempt - 1, 16), policy.longest_s)
    return grown_s * (0.75 + jitter / 2)
