from typing import Any

import pytest

from actors.mailbox.message import ack, dead_letter, reject, retry_after
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
from services.notifications.retry import RetryPolicy, Scope, failure_of

BORN_MS, PUBLISHED, MARKED = 1_000_000, 2_000.0, 2_010.0
NEW = Recorded(0, None, None)
NO_MARK = MarksRead(BORN_MS, {})
MARK = MarksRead(BORN_MS, {"m": Mark(int(MARKED * 1000), None)})
AGAIN = Recorded(0, None, MARKED, resent=True)
LATER_BORN = MarksRead(int(MARKED * 1000), {})


def decision(**given: Any) -> Decision:
    usual = {"published_at": PUBLISHED, "recorded": NEW, "marks": NO_MARK, "now": MARKED + 1, "awaiting_since": 0.0}
    facts = {**usual, **given}
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
        # No status could come in before.
        ({"marks": MARK, "now": MARKED + 31, "awaiting_since": MARKED + 2}, Decision(Act.WAIT, 1.0)),
        ({"marks": MARK, "now": MARKED + 32, "awaiting_since": MARKED + 2}, Decision(Act.RESEND)),
        ({"recorded": AGAIN, "now": MARKED + 601, "awaiting_since": MARKED + 2}, Decision(Act.WAIT, 1.0)),
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


def failure(error: WhatsAppError, times: int = 1, jitter: float = 0.5) -> Any:
    return failure_of(error, times, jitter, RetryPolicy())


@pytest.mark.parametrize(("times", "delay_s"), [(1, 1), (2, 4), (3, 16), (4, 60), (99, 60)])
def test_a_pair_that_is_too_fast_waits_four_times_as_long_each_time(times: int, delay_s: float) -> None:
    result = failure(ThrottledError(131056, 400), times)

    assert (result.outcome, result.scope) == (retry_after(delay_s, "throttled"), Scope.PAIR)


@pytest.mark.parametrize(("times", "delay_s"), [(1, 1), (2, 2), (5, 16), (50, 60)])
def test_a_number_that_is_too_fast_waits_twice_as_long_each_time_and_as_a_whole(times: int, delay_s: float) -> None:
    result = failure(ThrottledError(130429, 400), times)

    assert (result.outcome, result.scope) == (retry_after(delay_s, "throttled"), Scope.NUMBER)


@pytest.mark.parametrize(("times", "delay_s"), [(1, 0.5), (2, 1), (99, 10)])
def test_a_graph_api_that_cannot_be_reached_costs_no_message_a_try(times: int, delay_s: float) -> None:
    result = failure(NotSentError("refused"), times)

    assert (result.outcome, result.scope) == (retry_after(delay_s, "not_sent"), Scope.GRAPH)


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

    assert (result.outcome, result.scope, result.error_code) == (dead_letter("auth:190"), Scope.NUMBER, 190)


def test_metas_own_trouble_costs_a_message_a_try_and_the_last_one_makes_a_dead_letter() -> None:
    assert failure(TransientError(131000, 500), 30).outcome == reject("transient:131000", 60.0)
    assert failure(TransientError(131000, 500), 30).state is None
    assert failure(TransientError(131000, 500), 31).outcome == dead_letter("transient:131000")
    assert failure(TransientError(131000, 500), 31).state == "transient"


def test_what_something_before_meta_refuses_comes_again_ever_later_and_is_then_a_dead_letter() -> None:
    delays_s = [failure(InterceptedError(403), times).outcome.delay_s for times in (1, 2, 5, 30)]

    assert delays_s == [1, 2, 16, 60]
    assert failure(InterceptedError(403), 30).state is None
    assert failure(InterceptedError(403), 31).outcome == dead_letter("intercepted:403")
    assert failure(InterceptedError(403), 31).state == "intercepted"


def test_only_a_send_in_doubt_keeps_its_mark() -> None:
    refusals = [kind(1, 400) for kind in (ThrottledError, TransientError, AuthError, PermanentError)]
    others = (NotSentError("refused"), InterceptedError(403), UnsendableError("token"))

    assert all(failure(error).sent_for_certain_not for error in (*refusals, *others))
    assert not failure(DoubtfulSendError("timeout")).sent_for_certain_not


def test_what_is_no_failure_of_a_send_is_not_swallowed() -> None:
    with pytest.raises(WhatsAppError):
        failure(WhatsAppError("new"))
