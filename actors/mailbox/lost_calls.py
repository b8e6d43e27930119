"""Ray's errors as the mailbox's: what a call that failed means for who publishes."""

from ray.exceptions import PendingCallsLimitExceeded, RayActorError

from actors.mailbox.errors import (
    JournalUnavailableError,
    MailboxError,
    OverloadedError,
    OwnerNotReadyError,
    OwnerUnreachableError,
)

_RETRY_AFTER_S = 0.5


def lost_call(queue: str, detail: str, error: Exception, *, is_gone: bool) -> MailboxError:
    """What a failed call to an owner means. One that answers too late may be waiting for its journal.

    Args:
        queue: whose owner.
        detail: for the error.
        error: of Ray.
        is_gone: whether Ray knows no such actor any more; else it starts again by itself whatever has ended.
    """
    if isinstance(error, PendingCallsLimitExceeded):
        return OverloadedError(queue, _RETRY_AFTER_S)
    if is_gone:
        return OwnerUnreachableError(queue, detail)
    if isinstance(error, RayActorError):
        return OwnerNotReadyError(queue, f"{detail}; it is being started again")
    return JournalUnavailableError(queue, detail)
