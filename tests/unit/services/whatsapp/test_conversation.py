from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.outgoing.delivery_state import FAILED, PLAYED, UNRANKED, rank_of_status
from services.whatsapp.conversation import Conversation, Merchant, Stage, step
from services.whatsapp.customers import Customers
from services.whatsapp.inbound import Customer, InboundMessage

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SHOP = Merchant("Thandi's Spaza")


def message(
    text: str | None = "Hi", *, kind: str = "text", name: str | None = None, at: datetime = NOW
) -> InboundMessage:
    return InboundMessage("wamid.A", "100", at, kind, Customer(None, "27821110001"), name, text, b"", "c")


def conversation(**more: Any) -> Conversation:
    return Conversation("c1", None, "27821110001", None, Stage.NEW, NOW)._replace(**more)


def test_the_first_text_is_greeted_by_the_merchants_name_and_the_customers() -> None:
    stepped, replies = step(conversation(), message(name="Sipho"), SHOP)

    assert stepped.stage is Stage.GREETED
    assert len(replies) == 1
    assert "welcome to Thandi's Spaza" in replies[0].payload["text"]["body"]
    assert "Sipho" in replies[0].payload["text"]["body"]
    assert replies[0].priority == 5


def test_a_later_text_is_answered_as_well_and_the_name_is_remembered() -> None:
    stepped, replies = step(conversation(stage=Stage.GREETED, name="Sipho"), message(), SHOP)

    assert stepped.stage is Stage.GREETED
    assert len(replies) == 1
    assert "Thandi's Spaza" in replies[0].payload["text"]["body"]
    assert stepped.name == "Sipho"


def test_what_is_no_text_is_noted_without_a_reply() -> None:
    stepped, replies = step(conversation(), message(None, kind="image", at=NOW + timedelta(hours=1)), SHOP)

    assert replies == ()
    assert stepped.stage is Stage.NEW
    assert stepped.last_inbound_at == NOW + timedelta(hours=1)


def test_a_message_that_comes_late_does_not_turn_the_clock_back() -> None:
    stepped, _ = step(conversation(), message(at=NOW - timedelta(days=1)), SHOP)

    assert stepped.last_inbound_at == NOW


def test_a_reply_never_exceeds_what_graph_takes() -> None:
    _, replies = step(conversation(), message(), Merchant("x" * 9000))

    assert len(replies[0].payload["text"]["body"]) == 4096


def test_a_customer_known_by_phone_is_found_when_his_id_comes_with_it_and_by_the_id_alone_later() -> None:
    customers = Customers([conversation()])

    both = customers.conversation_of(Customer("ZA.1", "27821110001"), NOW)
    alone = customers.conversation_of(Customer("ZA.1", None), NOW)
    phone = customers.conversation_of(Customer(None, "27821110001"), NOW)

    assert both.id == alone.id == phone.id == "c1"
    assert both.user_id == "ZA.1"


def test_two_conversations_that_turn_out_to_be_one_customers_become_one() -> None:
    by_id = conversation(id="c2", user_id="ZA.1", phone=None)
    by_phone = conversation(stage=Stage.GREETED, name="Sipho")
    customers = Customers([by_phone, by_id])

    found = customers.conversation_of(Customer("ZA.1", "27821110001"), NOW)

    assert (found.id, found.phone, found.stage, found.name) == ("c2", "27821110001", Stage.GREETED, "Sipho")
    given_up, kept = customers.changed()
    assert (given_up.id, given_up.phone, given_up.merged_into) == ("c1", None, "c2")
    assert kept.id == "c2"


def test_a_phone_that_changed_hands_does_not_open_the_old_owners_conversation() -> None:
    customers = Customers([conversation(user_id="ZA.old", name="Old owner")])

    found = customers.conversation_of(Customer("ZA.new", "27821110001"), NOW)

    assert found.id != "c1"
    assert found.name is None
    old = next(one for one in customers.changed() if one.id == "c1")
    assert (old.phone, old.user_id, old.merged_into) == (None, "ZA.old", None)


identities = st.builds(
    Customer, st.sampled_from([None, "ZA.1", "ZA.2"]), st.sampled_from([None, "1", "2", "3"])
).filter(lambda customer: customer != (None, None))


@given(st.lists(identities, max_size=12))
def test_whoever_writes_in_whatever_way_each_id_and_phone_has_one_conversation(customers: list[Customer]) -> None:
    book = Customers([])

    for customer in customers:
        found = book.conversation_of(customer, NOW)
        assert book.conversation_of(customer, NOW).id == found.id
        assert customer.user_id is None or found.user_id == customer.user_id
        assert customer.phone is None or found.phone == customer.phone

    written = book.changed()
    for identity in ([one.user_id for one in written], [one.phone for one in written]):
        named = [name for name in identity if name is not None]
        assert len(named) == len(set(named))
    phones = [one.phone is not None for one in written]
    assert phones == sorted(phones)


@given(st.permutations(["sent", "delivered", "read", "played", "failed", "sent", "delivered"]))
def test_statuses_in_any_order_end_in_the_same_state(statuses: list[str]) -> None:
    rank = 0
    for status in statuses:
        rank = max(rank, rank_of_status(status))

    assert rank == PLAYED


def test_a_failure_counts_until_the_message_is_known_to_have_arrived() -> None:
    assert rank_of_status("sent") < FAILED < rank_of_status("delivered") < rank_of_status("read")


def test_a_status_that_meta_invents_or_that_is_ours_moves_nothing() -> None:
    assert {rank_of_status(one) for one in ("deleted", "RINGING", "queued", "accepted", "")} == {UNRANKED}
