"""What a call that Ray lost means for who publishes."""

import pytest
from ray.exceptions import ActorUnavailableError, PendingCallsLimitExceeded, RayActorError

from actors.mailbox.errors import (
    JournalUnavailableError,
    MailboxError,
    OverloadedError,
    OwnerNotReadyError,
    OwnerUnreachableError,
)
from actors.mailbox.lost_calls import lost_call


@pytest.mark.parametrize(
    ("error", "is_gone", "meant"),
    [
        (RayActorError(), False, OwnerNotReadyError),
        (ActorUnavailableError("restarting", None), False, OwnerNotReadyError),
        (RayActorError(), True, OwnerUnreachableError),
        (ValueError("no such actor"), True, OwnerUnreachableError),
        (TimeoutError(), False, JournalUnavailableError),
        (PendingCallsLimitExceeded("many"), False, OverloadedError),
    ],
)
def test_only_an_owner_that_ray_does_not_know_any_more_is_given_up(
    error: Exception, is_gone: bool, meant: type[MailboxError]
) -> None:
    assert type(lost_call("q", "it", error, is_gone=is_gone)) is meant
