"""The webhooks that the load generator sends are what Meta sends."""

import hashlib
import hmac
import json

from benchmarks.merchants import APP_SECRET, MERCHANTS
from benchmarks.messages import prepare


def test_a_prepared_request_is_signed_over_the_bytes_that_it_carries() -> None:
    [message] = prepare("http://127.0.0.1:8000/hook", 0, 1)

    head, body = message.request.split(b"\r\n\r\n", 1)

    expected = hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert f"X-Hub-Signature-256: sha256={expected}".encode() in head
    assert f"Content-Length: {len(body)}".encode() in head


def test_text_is_escaped_as_meta_escapes_it() -> None:
    [message] = prepare("http://127.0.0.1:8000/hook", 3, 1)

    assert b"bread and\\/or milk" in message.request
    assert b"caf\\u00e9" in message.request


def test_no_two_messages_share_an_id_or_a_customer_and_all_merchants_have_a_turn() -> None:
    messages = prepare("http://127.0.0.1:8000/hook", 0, 3 * MERCHANTS)

    values = [json.loads(one.request.split(b"\r\n\r\n", 1)[1])["entry"][0]["changes"][0]["value"] for one in messages]

    assert len({value["messages"][0]["id"] for value in values}) == len(messages)
    assert len({value["messages"][0]["from"] for value in values}) == len(messages)
    assert len({value["metadata"]["phone_number_id"] for value in values}) == MERCHANTS
