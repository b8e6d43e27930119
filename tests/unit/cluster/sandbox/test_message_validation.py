"""The limits table of ``POST /messages``: what is at the limit passes, what is beyond it is refused by name."""

from typing import Any

import pytest

from cluster.sandbox.graph_errors import GraphError
from cluster.sandbox.validation import check_message, recipient_of


def message(kind: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"messaging_product": "whatsapp", "to": "+27821234567", "type": kind, kind: content, **more}


def interactive(kind: str, action: dict[str, Any], **more: Any) -> dict[str, Any]:
    return message("interactive", {"type": kind, "body": {"text": "B"}, "action": action, **more})


def buttons(count: int, *, title: str = "T{}", identity: str = "id{}") -> dict[str, Any]:
    replies = [{"id": identity.format(n), "title": title.format(n)} for n in range(count)]
    return interactive("button", {"buttons": [{"type": "reply", "reply": reply} for reply in replies]})


def rows(*counts: int, **more: Any) -> dict[str, Any]:
    sections = [
        {"title": f"S{s}", "rows": [{"id": f"{s}-{n}", "title": "T", **more} for n in range(count)]}
        for s, count in enumerate(counts)
    ]
    return interactive("list", {"button": "Choose", "sections": sections})


def products(*counts: int, header: bool = True) -> dict[str, Any]:
    sections = [
        {"title": f"S{s}", "product_items": [{"product_retailer_id": f"sku-{s}-{n}"} for n in range(count)]}
        for s, count in enumerate(counts)
    ]
    more = {"header": {"type": "text", "text": "H"}} if header else {}
    return interactive("product_list", {"catalog_id": "C", "sections": sections}, **more)


def link(url: str = "https://pay.example/1", display_text: str = "Pay now") -> dict[str, Any]:
    return interactive("cta_url", {"name": "cta_url", "parameters": {"display_text": display_text, "url": url}})


ACCEPTED = {
    "a text at the limit": message("text", {"body": "x" * 4096}),
    "a text without a type": {"messaging_product": "whatsapp", "to": "27821234567", "text": {"body": "x"}},
    "an answer to a message": message("text", {"body": "x"}, context={"message_id": "wamid.X"}),
    "callback data at the limit": message("text", {"body": "x"}, biz_opaque_callback_data="x" * 512),
    "three buttons": buttons(3),
    "a title at the limit": buttons(1, title="x" * 20),
    "a button id at the limit": buttons(1, identity="x" * 256),
    "ten rows": rows(10),
    "ten rows in three sections": rows(4, 3, 3),
    "a description at the limit": rows(1, description="x" * 72),
    "a long body of a list": message(
        "interactive", {**rows(1)["interactive"], "body": {"text": "x" * 4096}}
    ),
    "a link": link(),
    "a product": message(
        "interactive", {"type": "product", "action": {"catalog_id": "C", "product_retailer_id": "sku"}}
    ),
    "thirty products": products(15, 15),
    "a catalogue": interactive("catalog_message", {"name": "catalog_message"}),
    "a request for the location": interactive("location_request_message", {"name": "send_location"}),
    "a header and a footer at the limit": interactive(
        "location_request_message",
        {"name": "send_location"},
        header={"type": "text", "text": "x" * 60},
        footer={"text": "x" * 60},
    ),
    "an image by link": message("image", {"link": "https://images.example/1.png", "caption": "x" * 1024}),
    "an image by id": message("image", {"id": "123"}),
    "a location": message("location", {"latitude": -26.2485, "longitude": "27.8540"}),
    "a reaction removed": message("reaction", {"message_id": "wamid.X", "emoji": ""}),
    "a template": message("template", {"name": "order_ready", "language": {"code": "en"}}),
}  # fmt: skip

REFUSED = {
    "no product": ({"to": "27821234567", "type": "text", "text": {"body": "x"}}, 131008, "messaging_product"),
    "another product": (message("text", {"body": "x"}) | {"messaging_product": "sms"}, 131009, "whatsapp"),
    "an unknown type": (message("poll", {}), 131051, "poll"),
    "no content": ({"messaging_product": "whatsapp", "to": "27821234567", "type": "text"}, 131008, "'text'"),
    "content of another kind": (message("text", "x"), 131009, "JSON object"),
    "no body": (message("text", {}), 131008, "text['body']"),
    "an empty body": (message("text", {"body": " "}), 131009, "non-empty"),
    "a text too long": (message("text", {"body": "x" * 4097}), 131009, "at most 4096"),
    "callback data too long": (message("text", {"body": "x"}, biz_opaque_callback_data="x" * 513), 131009, "512"),
    "no button": (buttons(0), 131009, "Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3"),
    "four buttons": (buttons(4), 131009, "Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3"),
    "a title too long": (buttons(1, title="x" * 21), 131009, "at most 20"),
    "the same title twice": (buttons(2, title="same"), 131009, "Duplicate button title"),
    "the same id twice": (buttons(2, identity="same"), 131009, "Duplicate button id"),
    "an id with a space": (buttons(1, identity="x "), 131009, "trailing spaces"),
    "a button id too long": (buttons(1, identity="x" * 257), 131009, "at most 256"),
    "eleven rows": (rows(11), 131009, "Max allowed rows: 10"),
    "eleven rows in two sections": (rows(6, 5), 131009, "Total row count exceed max allowed count: 10"),
    "eleven sections": (rows(*[1] * 11), 131009, "Max allowed sections: 10"),
    "a row's title too long": (rows(1, title="x" * 25), 131009, "at most 24"),
    "a description too long": (rows(1, description="x" * 73), 131009, "at most 72"),
    "a section without a title beside another": (
        interactive(
            "list", {"button": "B", "sections": [{"rows": [{"id": "1", "title": "T"}]}, rows(1)["interactive"]]}
        ),
        131008,
        "section['title']",
    ),
    "a picture over a list": (
        message("interactive", {**rows(1)["interactive"], "header": {"type": "image", "image": {"id": "1"}}}),
        131009,
        "not allowed for type list",
    ),
    "a footer too long": (interactive("button", {}, footer={"text": "x" * 61}), 131009, "at most 60"),
    "a link that is none": (link(url="pay.example"), 131009, "valid URL"),
    "a link's button too long": (link(display_text="x" * 21), 131009, "at most 20"),
    "thirty-one products": (products(16, 15), 131009, "Total product count"),
    "products without a header": (products(1, header=False), 131008, "interactive['header']"),
    "an unknown interactive kind": (interactive("carousel", {}), 131009, "interactive['type']"),
    "no action": (message("interactive", {"type": "button", "body": {"text": "B"}}), 131008, "interactive['action']"),
    "an image from nowhere": (message("image", {"caption": "x"}), 131008, "image['id']"),
    "a sticker with a caption": (message("sticker", {"id": "1", "caption": "x"}), 131009, "caption"),
    "a latitude beyond the pole": (message("location", {"latitude": 91, "longitude": 0}), 131009, "latitude"),
    "a template without a language": (message("template", {"name": "x"}), 131008, "language"),
    "six contacts": (message("contacts", [{"name": {}}] * 6), 131009, "Max allowed contacts: 5"),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_meta_takes_is_taken(name: str) -> None:
    check_message(ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_what_meta_refuses_is_refused_with_its_code_and_the_reason(name: str) -> None:
    refused, number, details = REFUSED[name]

    with pytest.raises(GraphError) as raised:
        check_message(refused)

    assert raised.value.number == number
    assert raised.value.status == 400
    assert details in (raised.value.details or "")


@pytest.mark.parametrize("given", ["+27821234567", "27 82 123 4567", "(27) 82-123-4567"])
def test_a_phone_number_may_be_written_in_several_ways(given: str) -> None:
    assert recipient_of({"to": given}).identity == "27821234567"


def test_a_customer_may_be_addressed_by_bsuid_and_the_phone_number_wins() -> None:
    assert recipient_of({"recipient": "ZA.1349"}) == ("ZA.1349", None, "ZA.1349")
    assert recipient_of({"recipient": "ZA.1349", "to": "+27821234567"}).user_id is None


@pytest.mark.parametrize(("fields", "number"), [({}, 131008), ({"to": "Thandi"}, 131009), ({"recipient": "x"}, 131009)])
def test_a_recipient_that_is_none_is_refused(fields: dict[str, str], number: int) -> None:
    with pytest.raises(GraphError) as raised:
        recipient_of(fields)

    assert raised.value.number == number
