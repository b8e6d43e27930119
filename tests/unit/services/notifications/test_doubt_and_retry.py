from typing import Any

import pytest

from actors.mailbox.message import ack, reject
from cache.marks import Mark, MarksRead
from integrations.whatsapp.errors import (
    AuthError,
    DoubtfulSendError,
    InterceptedError,
    NotSentError,
    PermanentError,
    ThrottledError,
    TransientError,
    UnsendableError,
    WhatsAppError,
)
from services.notifications.doubt import Act, Decision, DoubtPolicy, Recorded, decide
from services.notifications.retry import RetryPolicy, failure_of

BORN_MS, PUBLISHED, MARKED = 1_000_000, 2_000.0, 2_010.0
NEW = Recorded(0, None, None)
NO_MARK = MarksRead(BORN_MS, {})
MARK = MarksRead(BORN_MS, {"m": Mark(int(MARKED * 1000), None)})
AGAIN = Recorded(0, None, MARKED, resent=True)
LATER_BORN = MarksRead(int(MARKED * 1000), {})


def decision(**given: Any) -> Decision:
    facts = {"published_at": PUBLISHED, "recorded": NEW, "marks": NO_MARK, "now": MARKED + 1, **given}
    return decide("m", policy=DoubtPolicy(), **facts)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Decision(Act.SEND)),
        ({"recorded": None}, Decision(Act.SEND)),
        # What the shard knows settles it.
        ({"recorded": Recorded(1, "w", None)}, Decision(Act.SETTLED)),
        ({"recorded": Recorded(3, None, None)}, Decision(Act.SETTLED)),
        ({"recorded": Recorded(0, "w", None), "marks": MARK}, Decision(Act.SETTLED)),
        # Marked, so it is in doubt.
        ({"marks": MARK}, Decision(Act.WAIT, 2.0)),
        ({"marks": MARK, "now": MARKED + 29}, Decision(Act.WAIT, 1.0)),
        ({"marks": MARK, "now": MARKED + 30}, Decision(Act.RESEND)),
        ({"recorded": Recorded(0, None, MARKED)}, Decision(Act.WAIT, 2.0)),
        ({"recorded": Recorded(0, None, MARKED), "now": MARKED + 31}, Decision(Act.RESEND)),
        ({"recorded": Recorded(0, None, MARKED + 20), "marks": MARK, "now": MARKED + 31}, Decision(Act.WAIT, 2.0)),
        # It went out again, and is in doubt again; much longer, and never a third time.
        ({"recorded": AGAIN}, Decision(Act.WAIT, 15.0)),
        ({"recorded": AGAIN, "marks": MARK, "now": MARKED + 591}, Decision(Act.WAIT, 9.0)),
        ({"recorded": AGAIN, "marks": MARK, "now": MARKED + 600}, Decision(Act.GIVE_UP)),
        ({"recorded": AGAIN, "marks": None, "now": MARKED + 600}, Decision(Act.GIVE_UP)),
        ({"recorded": AGAIN._replace(rank=2), "now": MARKED + 600}, Decision(Act.SETTLED)),
        # Nothing would count how often it went out.
        ({"recorded": None, "marks": MARK, "now": MARKED + 30}, Decision(Act.WAIT, 15.0)),
        ({"recorded": None, "marks": MARK, "now": MARKED + 600}, Decision(Act.GIVE_UP)),
        # The marks are younger than the message, so its mark may have been lost.
        ({"marks": LATER_BORN}, Decision(Act.WAIT, 2.0)),
        ({"marks": LATER_BORN, "now": MARKED + 30}, Decision(Act.RESEND)),
        # Meta took it; the shard could not be told.
        ({"marks": MarksRead(BORN_MS, {"m": Mark(None, "wamid.A")})}, Decision(Act.RECORD, wamid="wamid.A")),
        # Without Redis.
        ({"marks": None}, Decision(Act.MARK_AND_WAIT, 2.0)),
        ({"marks": None, "recorded": Recorded(0, None, MARKED)}, Decision(Act.WAIT, 2.0)),
        ({"marks": None, "recorded": Recorded(0, None, MARKED), "now": MARKED + 30}, Decision(Act.RESEND)),
        ({"marks": None, "recorded": Recorded(2, "w", None)}, Decision(Act.SETTLED)),
    ],
)
def test_what_may_have_been_sent_is_not_sent_before_its_time(given: dict[str, Any], expected: Decision) -> None:
    assert decision(**given) == expected


def failure(error: WhatsAppError, attempt: int = 1, jitter: float = 0.5) -> Any:
    return failure_of(error, attempt, jitter, RetryPolicy())


@pytest.mark.parametrize(("attempt", "delay_s"), [(1, 1), (2, 4), (3, 16), (4, 60), (99, 60)])
def test_a_pair_that_is_too_fast_waits_four_times_as_long_each_time(attempt: int, delay_s: float) -> None:
    result = failure(ThrottledError(131056, 400), attempt)

    assert result.outcome.delay_s == delay_s  # 4 ** (attempt - 1), at most 60
    assert not result.whole_number


@pytest.mark.parametrize(("attempt", "delay_s"), [(1, 1), (2, 2), (5, 16), (50, 60)])
def test_a_number_that_is_too_fast_waits_twice_as_long_each_time_and_as_a_whole(attempt: int, delay_s: float) -> None:
    result = failure(ThrottledError(130429, 400), attempt)

    assert (result.outcome.delay_s, result.whole_number) == (delay_s, True)


def test_meta_may_ask_for_more_patience() -> None:
    assert failure(ThrottledError(130429, 400, 90.0)).outcome.delay_s == 90


@pytest.mark.parametrize(("jitter", "delay_s"), [(0.0, 0.75), (1.0, 1.25)])
def test_those_who_failed_together_do_not_come_again_together(jitter: float, delay_s: float) -> None:
    assert failure(TransientError(131000, 500), jitter=jitter).outcome.delay_s == delay_s


def test_a_message_that_will_never_be_taken_is_recorded_as_failed() -> None:
    result = failure(PermanentError(131026, 400))

    assert (result.outcome, result.error_code) == (ack(), 131026)


def test_a_token_that_is_no_good_makes_dead_letters_of_all_that_the_number_sends() -> None:
    result = failure(AuthError(190, 401))

    assert (result.outcome, result.whole_number, result.error_code) == (reject("auth:190"), True, 190)


def test_metas_own_trouble_is_not_waited_for_for_ever() -> None:
    assert failure(TransientError(131000, 500), 29).outcome.kind == "retry_after"
    assert failure(TransientError(131000, 500), 30).outcome == reject("transient:131000")


def test_what_something_before_meta_refuses_comes_again_ever_later_and_is_then_a_dead_letter() -> None:
    delays_s = [failure(InterceptedError(403), attempt).outcome.delay_s for attempt in (1, 2, 5, 29)]

    assert delays_s == [1, 2, 16, 60]
    assert failure(InterceptedError(403), 29).state is None
    assert failure(InterceptedError(403), 30).outcome == reject("intercepted:403")
    assert failure(InterceptedError(403), 30).state == "intercepted"


def test_only_a_send_in_doubt_keeps_its_mark() -> None:
    refusals = [kind(1, 400) for kind in (ThrottledError, TransientError, AuthError, PermanentError)]
    others = (NotSentError("refused"), InterceptedError(403), UnsendableError("token"))

    assert all(failure(error).sent_for_certain_not for error in (*refusals, *others))
    assert not failure(DoubtfulSendError("timeout")).sent_for_certain_not


def test_what_is_no_failure_of_a_send_is_not_swallowed() -> None:
    with pytest.raises(WhatsAppError):
        failure(WhatsAppError("new"))
