import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.mailbox.limits import check
from services.whatsapp.envelope import Part, split
from services.whatsapp.errors import MalformedError, NotAnEnvelopeError
from services.whatsapp.inbound import decode
from services.whatsapp.lenient_json import loads

NUMBER = "100000000000001"


def take_apart(raw: bytes) -> list[Part]:
    return split(raw, correlation_id="c-1", received_at=1_750_000_000.5)


def envelope(*values: Any, field: str = "messages", waba: str = "200") -> bytes:
    changes = [{"value": value, "field": field} for value in values]
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"id": waba, "changes": changes}]}).encode()


def value(**lists: Any) -> dict[str, Any]:
    metadata = {"display_phone_number": "27110000001", "phone_number_id": NUMBER}
    return {"messaging_product": "whatsapp", "metadata": metadata, **lists}


def text(wamid: str, sender: str = "27821110001") -> dict[str, Any]:
    return {"from": sender, "id": wamid, "timestamp": "1750000001", "type": "text", "text": {"body": "Hi"}}


def leaves(whole: Any) -> Iterator[str]:
    if isinstance(whole, dict):
        for name, inner in whole.items():
            yield name
            yield from leaves(inner)
    elif isinstance(whole, list):
        for inner in whole:
            yield from leaves(inner)
    else:
        yield json.dumps(whole)


def payload_files(folder: Path) -> list[Path]:
    return sorted((folder / "whatsapp").glob("*.json"))


def test_every_real_payload_is_accounted_for_item_by_item(payloads: Path) -> None:
    files = payload_files(payloads)
    assert len(files) > 50
    for file in files:
        whole = json.loads(file.read_bytes())
        if whole.get("object") != "whatsapp_business_account":
            with pytest.raises(NotAnEnvelopeError, match="not_whatsapp"):
                take_apart(file.read_bytes())
            continue

        parts = take_apart(file.read_bytes())

        values = [change["value"] for entry in whole["entry"] for change in entry["changes"]]
        kinds = [part.kind for part in parts]
        assert kinds.count("message") == sum(len(one.get("messages", [])) for one in values), file.name
        assert kinds.count("status") == sum(len(one.get("statuses", [])) for one in values), file.name
        others = [one for one in values if not one.get("messages") and not one.get("statuses")]
        assert kinds.count("event") >= len(others), file.name


def test_nothing_of_a_real_payload_is_lost(payloads: Path) -> None:
    for file in payload_files(payloads):
        whole = json.loads(file.read_bytes())
        if whole.get("object") != "whatsapp_business_account":
            continue

        kept = {leaf for part in take_apart(file.read_bytes()) for leaf in leaves(loads(part.message.body))}

        # The frame itself, which every part has had.
        frame = {"object", '"whatsapp_business_account"', "messaging_product", '"whatsapp"', "changes", "value"}
        assert set(leaves(whole)) - {"messages", "statuses"} - frame <= kept, file.name


def test_every_part_of_every_real_payload_can_be_read_by_the_processor(payloads: Path) -> None:
    for file in payload_files(payloads):
        if json.loads(file.read_bytes()).get("object") != "whatsapp_business_account":
            continue
        for kind, message in take_apart(file.read_bytes()):
            if b"<WEBHOOK_SENT_TIMESTAMP>" in message.body:  # a template in the documentation, not a payload
                continue
            read = decode(message)

            assert {"message": "InboundMessage", "status": "StatusUpdate", "event": "InboundEvent"}[kind] == (
                type(read).__name__
            ), file.name


def test_a_post_for_several_businesses_gives_each_message_its_number_and_customer() -> None:
    other = {**value(messages=[text("wamid.C", "27821110009")]), "metadata": {"phone_number_id": "300"}}

    parts = take_apart(envelope(value(messages=[text("wamid.A"), text("wamid.B", "27821110002")]), other))

    assert [part.message.id for part in parts] == [f"{NUMBER}:wamid.A", f"{NUMBER}:wamid.B", "300:wamid.C"]
    assert [part.message.key for part in parts] == [f"{NUMBER}:27821110001", f"{NUMBER}:27821110002", "300:27821110009"]
    assert [part.message.tenant for part in parts] == [NUMBER, NUMBER, "300"]
    assert all(part.message.headers == {"correlation_id": "c-1"} for part in parts)


def test_the_business_scoped_id_is_the_key_where_there_is_one() -> None:
    message = {**text("wamid.A"), "from_user_id": "ZA.1349"}

    (part,) = take_apart(envelope(value(messages=[message])))

    assert part.message.key == f"{NUMBER}:ZA.1349"


def test_each_status_of_a_message_has_an_id_of_its_own() -> None:
    sent = {"id": "wamid.O", "status": "sent", "timestamp": "1750000001", "recipient_id": "27821110001"}
    group = {**sent, "status": "read", "recipient_participant_id": "27829999999"}

    parts = take_apart(envelope(value(statuses=[sent, {**sent, "status": "delivered"}, group])))

    assert [part.message.id for part in parts] == [
        f"{NUMBER}:wamid.O:sent",
        f"{NUMBER}:wamid.O:delivered",
        f"{NUMBER}:wamid.O:read:27829999999",
    ]
    assert {part.message.key for part in parts} == {f"{NUMBER}:27821110001"}


def test_the_same_payload_twice_gives_the_same_ids_whatever_the_order_of_its_keys() -> None:
    event = {"event": "X", "details": {"a": 1, "b": 2}}

    one = take_apart(envelope(event, field="account_update"))
    again = take_apart(envelope(dict(reversed(event.items())), field="account_update"))

    assert one[0].message.id == again[0].message.id
    assert one[0].message.id.startswith("sha256:")


def test_events_that_differ_in_their_contacts_alone_are_two() -> None:
    one, other = ({"wa_id": phone, "profile": {"name": "B"}} for phone in ("27821110001", "27821110002"))

    ids = [take_apart(envelope(value(contacts=[contact])))[0].message.id for contact in (one, other, one)]

    assert ids[0] == ids[2] != ids[1]


def test_a_contact_goes_with_its_own_message_and_a_stranger_is_kept_as_an_event() -> None:
    contacts = [{"wa_id": "27821110002", "profile": {"name": "B"}}, {"wa_id": "1", "profile": {"name": "Stranger"}}]

    parts = take_apart(envelope(value(contacts=contacts, messages=[text("wamid.A"), text("wamid.B", "27821110002")])))

    bodies = [loads(part.message.body) for part in parts]
    assert [body["contacts"] for body in bodies] == [[], [contacts[0]], [contacts[1]]]
    assert [part.kind for part in parts] == ["message", "message", "event"]


def test_a_lone_message_gets_the_contact_whose_phone_differs() -> None:
    contacts = [{"wa_id": "5511999", "profile": {"name": "B"}}]

    (part,) = take_apart(envelope(value(contacts=contacts, messages=[text("wamid.A", "55119999")])))

    assert loads(part.message.body)["contacts"] == contacts


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not_json"),
        (b"not json", "not_json"),
        (b"\xff\xfe{", "not_json"),
        (b'{"object": NaN}', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"[]", "not_whatsapp"),
        (b"null", "not_whatsapp"),
        (b'"text"', "not_whatsapp"),
        (b'{"object":"page","entry":[]}', "not_whatsapp"),
        (b'{"object":"whatsapp_business_account"}', "not_whatsapp"),
        (b'{"object":"whatsapp_business_account","entry":{}}', "not_whatsapp"),
    ],
)
def test_what_is_no_envelope_is_said_to_be_none(raw: bytes, reason: str) -> None:
    with pytest.raises(NotAnEnvelopeError) as caught:
        take_apart(raw)

    assert caught.value.reason == reason


def test_what_is_nested_beyond_reason_is_no_envelope_or_is_kept() -> None:
    for depth in (200, 400, 900, 5000):
        deep = "[" * depth + "]" * depth
        raw = f'{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{{"value":{deep}}}]}}]}}'.encode()
        try:
            parts = take_apart(raw)
        except NotAnEnvelopeError:
            continue
        assert [part.kind for part in parts] == ["event"]


@pytest.mark.parametrize(
    "entry",
    [
        None,
        7,
        "text",
        {},
        {"id": "1", "messaging": []},
        {"id": "1", "changes": {}},
        {"id": "1", "changes": []},
        {"id": "1", "changes": [None]},
        {"id": "1", "changes": [{"field": "messages"}]},
        {"id": "1", "changes": [{"field": "messages", "value": []}]},
        {"id": "1", "changes": [{"field": "messages", "value": {}}]},
        {"id": "1", "changes": [{"field": "messages", "value": {"messages": {}, "metadata": 5, "contacts": "x"}}]},
        {"id": ["1"], "changes": [{"field": {}, "value": {"statuses": "x"}}]},
    ],
)
def test_a_strange_entry_becomes_an_event_and_its_neighbour_goes_on(entry: Any) -> None:
    good = {"id": "200", "changes": [{"field": "messages", "value": value(messages=[text("wamid.A")])}]}
    raw = json.dumps({"object": "whatsapp_business_account", "entry": [entry, good]}).encode()

    parts = take_apart(raw)

    assert [part.kind for part in parts] == ["event", "message"]
    assert parts[1].message.id == f"{NUMBER}:wamid.A"


@pytest.mark.parametrize(
    "item",
    [
        None, 3, "x", [], {}, {"id": 5}, {"id": ""}, {"id": "a\0b", "from": "1"}, {"id": "\ud83e"},
        {"id": "x" * 5000}, {"id": "wamid. spaced"},
    ],
)  # fmt: skip
def test_a_malformed_message_is_kept_under_an_id_of_its_bytes_and_refused_by_the_processor(item: Any) -> None:
    parts = take_apart(envelope(value(messages=[item, text("wamid.A")])))

    assert [part.kind for part in parts] == ["message", "message"]
    assert parts[0].message.id.startswith("sha256:")
    assert loads(parts[0].message.body)["item"] == item
    with pytest.raises(MalformedError):
        decode(parts[0].message)


def test_lone_surrogates_and_nul_in_a_text_are_kept_and_do_not_reach_text_columns() -> None:
    message = {**text("wamid.A"), "text": {"body": "broken \ud83e emoji\0"}}
    contacts = [{"wa_id": "27821110001", "profile": {"name": "Zo\ud83e\0ë"}}]

    (part,) = take_apart(envelope(value(messages=[message], contacts=contacts)))

    assert loads(part.message.body)["item"]["text"]["body"] == "broken \ud83e emoji\0"
    read = decode(part.message)
    assert (read.text, read.name) == ("broken  emoji", "Zoë")  # type: ignore[union-attr]


def test_errors_beside_a_message_are_kept() -> None:
    parts = take_apart(envelope(value(messages=[text("wamid.A")], errors=[{"code": 131000}])))

    assert [part.kind for part in parts] == ["message", "event"]
    assert loads(parts[1].message.body)["item"] == {"errors": [{"code": 131000}]}


def test_a_thousand_updates_in_one_post_are_a_thousand_messages() -> None:
    parts = take_apart(envelope(value(messages=[text(f"wamid.{n}") for n in range(1000)])))

    assert len({part.message.id for part in parts}) == 1000


def test_long_ids_that_are_too_long_together_make_an_id_and_a_key_that_a_mailbox_takes() -> None:
    number, wamid, customer = "1" * 256, "w" * 256, "2" * 256
    status = {"id": wamid, "status": "s" * 256, "recipient_participant_id": "3" * 256, "recipient_id": customer}
    metadata = {"phone_number_id": number}
    lists = {"messages": [text(wamid, customer), text("wamid.A", customer)], "statuses": [status]}

    parts = take_apart(envelope({**value(**lists), "metadata": metadata}))
    again = take_apart(envelope({**value(**lists, contacts=[{"wa_id": "7"}]), "metadata": metadata}))

    messages = [part.message for part in parts]
    check(messages)
    assert [message.id[:7] for message in messages] == ["sha256:", "1111111", "sha256:"]
    assert len({message.id for message in messages}) == 3
    assert len({message.key for message in messages}) == 1
    assert [part.message.id for part in again[:3]] == [message.id for message in messages]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            ["id", "from", "messages", "statuses", "contacts", "metadata", "phone_number_id", "value", "changes",
             "field", "timestamp", "type", "text", "body", "status", "wa_id", "errors"]
        ) | st.text(max_size=4), inner, max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(json_values, max_size=3))
def test_no_json_breaks_it_and_every_id_and_key_fits_a_text_column(entries: list[Any]) -> None:
    raw = json.dumps({"object": "whatsapp_business_account", "entry": entries}).encode()

    for _, message in take_apart(raw):
        check([message])
        assert all(character.isascii() and character.isprintable() for character in message.id)
        assert all(character.isascii() and character.isprintable() for character in message.key + message.tenant)
        assert isinstance(message.body, bytes)
        with suppress(MalformedError):
            decode(message)


# Of lengths about those at which ids are refused, and at which they are too long together.
long_ids = st.builds(str.__mul__, st.sampled_from("1aZ"), st.sampled_from([1, 100, 200, 250, 255, 256, 257, 500, 600]))


@settings(max_examples=300, deadline=None)
@given(
    number=long_ids,
    waba=long_ids,
    item=st.dictionaries(
        st.sampled_from(["id", "from", "from_user_id", "status", "recipient_id", "recipient_participant_id"]), long_ids
    ),
)
def test_ids_of_any_length_fit_a_mailbox(number: str, waba: str, item: dict[str, str]) -> None:
    lists = {"metadata": {"phone_number_id": number}, "messages": [item], "statuses": [item], "errors": [item]}

    check([part.message for part in take_apart(envelope(lists, waba=waba))])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_break_it(raw: bytes) -> None:
    with pytest.raises(NotAnEnvelopeError):
        take_apart(raw)
