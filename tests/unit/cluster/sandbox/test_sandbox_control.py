"""Knobs, numbers, inbound messages, the page and the command line."""

import random
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cluster.sandbox.__main__ import read_config
from cluster.sandbox.conversations import Heard, Line, describe, latest_lines
from cluster.sandbox.graph_errors import GraphError
from cluster.sandbox.inbound import InboundRequest, customer_of, write_messages
from cluster.sandbox.knobs import Knobs
from cluster.sandbox.outbox import Outbox, Sent
from cluster.sandbox.page import Talk, render_frame, render_page
from cluster.sandbox.phone_numbers import (
    DEMO_NUMBER,
    FILE_NAME,
    NumbersFileError,
    PhoneNumber,
    PhoneNumbers,
    read_numbers,
    write_numbers,
)


def number(identity: str = "7", token: str = "seven") -> PhoneNumber:
    return PhoneNumber(phone_number_id=identity, display_phone_number="+27110000007", access_token=token, waba_id="8")


def write(**request: Any) -> list[dict[str, Any]]:
    asked = InboundRequest.model_validate({"phone_number_id": DEMO_NUMBER.phone_number_id, **request})
    written = write_messages(asked, DEMO_NUMBER, customer_of(asked, 1_750_000_000.7), random.Random(1))
    assert [one.wamid for one in written] == [one.update.item["id"] for one in written]
    return [{**one.update.item, "contact": one.update.contact} for one in written]


def test_knobs_that_are_not_named_stay_as_they_are() -> None:
    knobs = Knobs().turned({"pair_limit": False}).turned({"batch_max": 1000, "allowed_recipients": ["+27821234567"]})

    assert (knobs.pair_limit, knobs.batch_max, knobs.allowed_recipients) == (False, 1000, ("+27821234567",))


@pytest.mark.parametrize("changes", [{"pair": 1}, {"batch_max": 0}, {"batch_max": 1001}, {"pair_limit": "no"}])
def test_a_knob_that_is_unknown_or_out_of_range_is_named(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as raised:
        Knobs().turned(changes)

    assert [one["loc"] for one in raised.value.errors()] == [(next(iter(changes)),)]


def test_a_number_that_gets_another_token_forgets_the_first() -> None:
    numbers = PhoneNumbers(2, [number(), number("9", "seven")])
    numbers.register(number(token="fresh"))

    assert numbers.authorise("7", "fresh").access_token == "fresh"
    with pytest.raises(GraphError) as known:
        numbers.authorise("7", "seven")
    numbers.register(number("9", "nine"))
    with pytest.raises(GraphError) as forgotten:
        numbers.authorise("7", "seven")
    assert (known.value.number, forgotten.value.number) == (100, 190)
    assert not numbers.register(number("10"))


def test_registered_numbers_outlive_the_process(tmp_path: Path) -> None:
    assert read_numbers(tmp_path) == []

    write_numbers(tmp_path, [DEMO_NUMBER, number()])

    assert read_numbers(tmp_path) == [DEMO_NUMBER, number()]
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0


def test_a_broken_file_of_numbers_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("{")

    with pytest.raises(NumbersFileError, match="remove it"):
        read_numbers(tmp_path)


def test_a_customer_writes_a_text() -> None:
    (message,) = write(**{"from": "+27 82 123 4567"}, name="Zoë", text="Molo")

    assert message.pop("id").startswith("wamid.")
    assert message == {
        "from": "27821234567",
        "timestamp": "1750000000",
        "type": "text",
        "text": {"body": "Molo"},
        "contact": {"profile": {"name": "Zoë"}, "wa_id": "27821234567"},
    }


def test_a_customer_with_a_bsuid_alone_shows_no_phone_number() -> None:
    (message,) = write(user_id="ZA.1349", text="Molo")

    assert "from" not in message
    assert message["from_user_id"] == "ZA.1349"
    assert message["contact"] == {"user_id": "ZA.1349"}


def test_a_raw_message_keeps_what_it_has_and_gets_the_rest() -> None:
    location = {"type": "location", "location": {"latitude": -26.2, "longitude": 27.8}, "timestamp": "5"}

    (message,) = write(**{"from": "27821234567"}, message=location)

    assert (message["from"], message["timestamp"], message["location"]["latitude"]) == ("27821234567", "5", -26.2)


def test_copies_have_ids_of_their_own_unless_one_is_given() -> None:
    ids = [one["id"] for one in write(**{"from": "27821234567"}, text="Molo", count=3)]
    same = [one["id"] for one in write(user_id="ZA.1", message={"id": "wamid.X", "type": "text"}, count=2)]

    assert len(set(ids)) == 3
    assert same == ["wamid.X"] * 2


@pytest.mark.parametrize(
    "request_",
    [{"text": "x"}, {"from": "1"}, {"from": "27821234567", "text": "x", "message": {}}, {"from": "x", "text": ""}],
)
def test_an_inbound_request_that_says_too_little_or_too_much_is_refused(request_: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        InboundRequest.model_validate({"phone_number_id": "1", **request_})


def test_the_page_shows_both_sides_of_the_open_conversation_and_escapes_what_was_said() -> None:
    heard, outbox = Heard(), Outbox(10, 10_000)
    heard.add(Line(10.0, "1", "27821234567", "in", "<script>alert(1)</script>", "answered 200"))
    outbox.add(Sent("wamid.1", "1", "27821234567", 20.0, b'{"type":"text","text":{"body":"\\"><b>"}}', None))
    heard.add(Line(15.0, "1", "27820000000", "in", "From somebody else", "answered 200"))

    lines = latest_lines(heard, outbox, 100)
    frame = render_frame(Talk("1", "27821234567"), lines)

    assert [line.direction for line in lines] == ["out", "in", "in"]
    conversation = frame.partition("<main>")[2]
    assert conversation.index("&quot;&gt;&lt;b&gt;") < conversation.index("&lt;script&gt;")
    assert "somebody else" not in conversation
    assert "27820000000" in frame
    assert "<script" not in frame
    assert 'http-equiv="refresh"' in frame


def test_the_form_keeps_what_is_typed_from_being_renewed_away_and_escapes_it() -> None:
    page = render_page(Talk("1", '"><b>', "<i>"), [("1", "+27110000001"), ("2", "+27110000002")], 3, "<fault>")

    assert 'http-equiv="refresh"' not in page
    assert 'value="&quot;&gt;&lt;b&gt;"' in page
    assert "&lt;fault&gt;" in page
    assert '<option value="1" selected>+27110000001</option>' in page


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"type": "image", "image": {"caption": "Bread"}}, "[image] Bread"),
        ({"type": "location", "location": {}}, "[location]"),
        ({"type": "interactive", "interactive": {"button_reply": {"title": "Pay"}}}, "[Pay]"),
        (
            {"type": "interactive", "interactive": {"body": {"text": "How?"}, "action": {"x": [{"title": "Card"}]}}},
            "How? [Card]",
        ),
        ({"type": "text", "text": "broken"}, "[text]"),
        ({}, "[text]"),
    ],
)
def test_any_message_can_be_described(message: dict[str, Any], text: str) -> None:
    assert describe(message) == text


def test_options_win_over_the_environment_and_knobs_can_be_turned_at_the_start() -> None:
    environment = {
        "SPAZA_SANDBOX__PORT": "9000",
        "SPAZA_WHATSAPP__APP_SECRET": "s1",
        "SANDBOX_CALLBACK_URL": "http://a",
    }

    config = read_config(
        ["--port", "9001", "--knob", "pair_limit=false", "--knob", "customer_window=sync"], environment
    )

    assert (config.port, config.app_secret, config.callback_url) == (9001, "s1", "http://a")
    assert (config.knobs.pair_limit, config.knobs.customer_window) == (False, "sync")
    assert "s1" not in repr(config)


@pytest.mark.parametrize("arguments", [["--knob", "nothing=1"], ["--port", "x"], ["--callback-url", "here"]])
def test_an_option_that_cannot_be_used_is_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_config(arguments, {})

    named = arguments[1].split("=")[0] if arguments[0] == "--knob" else arguments[0]
    assert f"{named}: " in capsys.readouterr().err
