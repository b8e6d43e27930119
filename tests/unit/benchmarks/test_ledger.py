"""Every accepted message is answered once."""

from benchmarks.ledger import Ledger, Reply, Verdict, conversation, reply_latencies_s


def reply(sequence: int, at_s: float = 0.0) -> Reply:
    phone_number_id, to = conversation(sequence)
    return Reply(phone_number_id, to, at_s)


def test_each_message_answered_once_is_no_fault() -> None:
    ledger = Ledger()
    ledger.sent(0, [200, 200, 200])

    assert ledger.verdict([reply(2), reply(0), reply(1)]) == Verdict()


def test_an_accepted_message_without_a_reply_is_unanswered_and_a_refused_one_is_refused() -> None:
    ledger = Ledger()
    ledger.sent(0, [200, 503, 200])

    assert ledger.verdict([reply(0)]) == Verdict(refused=1, unanswered=1)


def test_every_reply_beyond_the_first_is_doubled() -> None:
    ledger = Ledger()
    ledger.sent(7, [200, 200])

    assert ledger.verdict([reply(7), reply(7), reply(7), reply(8)]) == Verdict(doubled=2)


def test_a_reply_from_another_merchant_is_strange_and_answers_nothing() -> None:
    ledger = Ledger()
    ledger.sent(0, [200])
    other = Reply(conversation(1)[0], conversation(0)[1], 0.0)

    assert ledger.verdict([other]) == Verdict(unanswered=1, strange=1)


def test_a_reply_counts_from_when_its_message_was_due_and_only_the_first() -> None:
    latencies = reply_latencies_s(5, [10.0, 11.0, 12.0], [reply(7, 12.5), reply(5, 10.25), reply(7, 13.0)])

    assert latencies == [0.25, 0.5]
