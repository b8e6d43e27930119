"""Bodies as Meta writes them, against the recorded vectors."""

import json
from pathlib import Path

import orjson

from cluster.sandbox.delivery import signature
from cluster.sandbox.webhook_json import encode


def test_the_recorded_body_and_its_signature_are_reproduced(payloads: Path) -> None:
    vector = json.loads((payloads / "signature_vectors.json").read_bytes())["whatsapp"]

    body = encode(json.loads(vector["same_json_reserialised_utf8"]))

    assert body.decode() == vector["body_as_sent_meta_style"]
    assert signature(vector["app_secret"], body) == vector["header_for_meta_style"]


def test_the_same_json_serialised_ordinarily_has_another_signature(payloads: Path) -> None:
    vector = json.loads((payloads / "signature_vectors.json").read_bytes())["whatsapp"]

    again = orjson.dumps(json.loads(vector["body_as_sent_meta_style"]))

    assert signature(vector["app_secret"], again) == vector["hmac_of_reserialised_must_not_match"]
    assert signature(vector["app_secret"], again) != vector["header_for_meta_style"]


def test_every_payload_means_the_same_after_it_was_written_as_meta_does(payloads: Path) -> None:
    files = sorted((payloads / "whatsapp").glob("*.json"))
    assert files
    for file in files:
        payload = json.loads(file.read_bytes())

        body = encode(payload)

        assert json.loads(body) == payload, file.name
        assert body.isascii(), file.name


def test_backslashes_and_quotes_stay_what_they_were() -> None:
    payload = {"a/b@c": 'quote " backslash \\ slash / percent % less < tab \t'}

    assert json.loads(encode(payload)) == payload
