"""Ray's errors as the mailbox's: what a call that failed means for who publishes."""

from ray.exceptions import PendingCallsLimitExceeded, RayActorError

from actors.mailbox.errors import JournalUnavailableError, MailboxError, OverloadedError, OwnerUnreachableError

_RETRY_AFTER_S = 0.5


def lost_call(queue: str, detail: str, error: Exception) -> MailboxError:
    """What a failed call to an owner means. One that answers too late may be waiting for its journal."""
    if isinstance(error, PendingCallsLimitExceeded):
        return OverloadedError(queue, _RETRY_AFTER_S)
    if isinstance(error, RayActorError | ValueError):
        return OwnerUnreachableError(queue, detail)
    return JournalUnavailableError(queue, detail)
