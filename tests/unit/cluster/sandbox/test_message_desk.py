"""The way from a request to its answer: token, faults, rates, window, wamid."""

import json
import random
from typing import Any

import pytest

from cluster.sandbox.clock import Clock
from cluster.sandbox.customers import Customer, Customers
from cluster.sandbox.knobs import Knobs, Panel
from cluster.sandbox.messages import Answer, MessageDesk
from cluster.sandbox.outbox import Outbox
from cluster.sandbox.phone_numbers import DEMO_NUMBER, PhoneNumber, PhoneNumbers
from cluster.sandbox.rates import Pacer
from cluster.sandbox.statuses import Accepted, PlannedStatus

TOKEN = f"Bearer {DEMO_NUMBER.access_token}"
OTHER = PhoneNumber(phone_number_id="2", display_phone_number="+27110000002", access_token="other", waba_id="9")


class Desk:
    """A desk with a clock that stands still, and what it passed on."""

    def __init__(self, **knobs: Any) -> None:
        self.now = 1_750_000_000.0
        self.followed: list[tuple[Accepted, list[PlannedStatus]]] = []
        self.customers, self.outbox = Customers(limit=100), Outbox(max_messages=1000, max_bytes=10**6)
        self.panel = Panel(Knobs(**knobs))
        self.desk = MessageDesk(
            clock=Clock(lambda: self.now),
            panel=self.panel,
            numbers=PhoneNumbers(10, [DEMO_NUMBER, OTHER]),
            customers=self.customers,
            outbox=self.outbox,
            pairs=Pacer(100),
            throughput=Pacer(100),
            follow=lambda accepted, planned: self.followed.append((accepted, planned)),
            randomness=random.Random(1),
        )

    def post(self, number: str = DEMO_NUMBER.phone_number_id, token: str | None = TOKEN, **fields: Any) -> Answer:
        message: dict[str, Any] = {
            "messaging_product": "whatsapp",
            "to": "+27821234567",
            "type": "text",
            "text": {"body": "Hi"},
        }
        message |= fields
        return self.desk.post(number, token, json.dumps({k: v for k, v in message.items() if v is not None}).encode())


def error_of(answer: Answer) -> tuple[int, int]:
    return answer.status, json.loads(answer.body)["error"]["code"]


def test_an_accepted_message_gets_a_wamid_and_stands_in_the_outbox() -> None:
    desk = Desk()

    answer = desk.post(biz_opaque_callback_data="m1")

    body = json.loads(answer.body)
    wamid = body["messages"][0]["id"]
    assert answer.status == 200
    assert body["contacts"] == [{"input": "+27821234567", "wa_id": "27821234567"}]
    sent = desk.outbox.page()[0][0]
    assert (sent.wamid, sent.to, sent.biz_opaque_callback_data) == (wamid, "27821234567", "m1")
    assert [one.status for one in desk.followed[0][1]] == ["sent", "delivered", "read"]


def test_an_answer_to_a_bsuid_has_no_phone_number() -> None:
    answer = Desk().post(to=None, recipient="ZA.1349")

    assert json.loads(answer.body)["contacts"] == [{"input": "ZA.1349", "user_id": "ZA.1349"}]


@pytest.mark.parametrize("token", [None, "", "Bearer", "Bearer nobodys", "Basic other"])
def test_a_token_that_nobody_was_given_is_an_auth_error(token: str | None) -> None:
    answer = Desk().post(token=token)

    assert error_of(answer) == (401, 190)


@pytest.mark.parametrize("number", ["2", "404"])
def test_a_token_for_another_number_sees_no_such_object(number: str) -> None:
    answer = Desk().post(number)

    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"], error["error_subcode"]) == (400, 100, 33)
    assert error["type"] == "GraphMethodException"
    assert f"'{number}'" in error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff"])
def test_a_body_that_is_no_object_is_an_invalid_parameter(body: bytes) -> None:
    answer = Desk().desk.post(DEMO_NUMBER.phone_number_id, TOKEN, body)

    assert error_of(answer) == (400, 100)


def test_an_error_has_metas_shape() -> None:
    error = json.loads(Desk().post(text={}).body)["error"]

    assert error.pop("fbtrace_id").startswith("A")
    assert error == {
        "message": "(#131008) Required parameter is missing",
        "type": "OAuthException",
        "code": 131008,
        "error_data": {"messaging_product": "whatsapp", "details": "Parameter 'text['body']' is missing"},
    }


def test_marking_as_read_succeeds_and_sends_nothing() -> None:
    desk = Desk()

    answer = desk.post(to=None, type=None, text=None, status="read", message_id="wamid.X")

    assert (answer.status, answer.body) == (200, b'{"success":true}')
    assert len(desk.outbox) == 0
    assert error_of(desk.post(status="read")) == (400, 131008)


def test_the_forty_sixth_message_to_one_customer_at_once_is_too_many() -> None:
    desk = Desk()

    assert [desk.post().status for _ in range(45)] == [200] * 45
    assert error_of(desk.post()) == (400, 131056)
    assert desk.post(to="+27821234568").status == 200
    desk.now += 6
    assert desk.post().status == 200


def test_the_pair_limit_can_be_switched_off() -> None:
    desk = Desk(pair_limit=False)

    assert {desk.post().status for _ in range(60)} == {200}


def test_a_number_has_eighty_messages_a_second_unless_the_knob_says_otherwise() -> None:
    desk = Desk()
    answers = [desk.post(to=f"+2782{n:07d}") for n in range(81)]

    assert [answer.status for answer in answers[:80]] == [200] * 80
    assert error_of(answers[80]) == (400, 130429)
    assert desk.post(OTHER.phone_number_id, "Bearer other").status == 200
    desk.panel.knobs = Knobs(throughput_mps=None)
    assert desk.post(to="+27829999999").status == 200


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        ({"maintenance": True}, (500, 131057)),
        ({"error_131000": 1}, (500, 131000)),
        ({"error_131016": 1}, (500, 131016)),
        ({"allowed_recipients": ("+27820000000",)}, (400, 131030)),
        ({"customer_window": "sync"}, (400, 131047)),
    ],
)
def test_a_knob_makes_its_documented_error(knobs: dict[str, Any], expected: tuple[int, int]) -> None:
    desk = Desk(**knobs)

    assert error_of(desk.post()) == expected
    assert len(desk.outbox) == 0


def test_a_business_cannot_write_to_itself() -> None:
    assert error_of(Desk().post(to=DEMO_NUMBER.display_phone_number)) == (400, 131021)


def test_the_window_is_open_for_24_hours_after_a_customer_wrote_and_for_templates_always() -> None:
    desk = Desk(customer_window="sync")
    desk.customers.wrote(DEMO_NUMBER.phone_number_id, Customer("27821234567", None, None, desk.now))

    desk.now += 24 * 3600
    assert desk.post().status == 200
    desk.now += 1
    assert error_of(desk.post()) == (400, 131047)
    assert desk.post(type="template", template={"name": "x", "language": {"code": "en"}}).status == 200


def test_outside_the_window_a_message_may_fail_later_instead() -> None:
    desk = Desk(customer_window="async")

    assert desk.post().status == 200
    accepted, planned = desk.followed[0]
    assert accepted.failure == 131047
    assert [one.status for one in planned] == ["failed"]


def test_a_lost_answer_belongs_to_a_message_that_was_accepted() -> None:
    desk = Desk(lost_answer=1)

    assert desk.post().lost
    assert len(desk.outbox) == 1
    assert len(desk.followed) == 1
