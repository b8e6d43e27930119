import json
from pathlib import Path
from typing import Any

import pytest

from integrations.whatsapp.signature import sign, verify

SECRET, BODY = b"app-secret-for-tests", b'{"object":"whatsapp_business_account"}'


@pytest.fixture
def vectors(payloads: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((payloads / "signature_vectors.json").read_text())["whatsapp"]
    return loaded


def test_the_signature_is_of_the_bytes_as_meta_escapes_them(vectors: dict[str, Any]) -> None:
    secret, body = vectors["app_secret"].encode(), vectors["body_as_sent_meta_style"].encode()

    assert sign(secret, body) == vectors["header_for_meta_style"]
    assert verify(secret, body, vectors["header_for_meta_style"].encode())
    assert sign(secret, b"") == vectors["empty_body"]


def test_the_same_json_written_again_has_another_signature(vectors: dict[str, Any]) -> None:
    secret, again = vectors["app_secret"].encode(), vectors["same_json_reserialised_utf8"].encode()

    assert sign(secret, again) == vectors["hmac_of_reserialised_must_not_match"]
    assert not verify(secret, again, vectors["header_for_meta_style"].encode())


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"sha256=",
        b"sha256=" + b"0" * 64,
        b"sha1=" + b"0" * 40,
        sign(SECRET, BODY).removeprefix("sha256=").encode(),
        sign(SECRET, BODY).upper().encode(),
        sign(SECRET, BODY).encode() + b" ",
        sign(b"another secret", BODY).encode(),
        b"sha256=" + b"\xff" * 64,
    ],
)
def test_anything_but_the_signature_is_refused(header: bytes | None) -> None:
    assert verify(SECRET, BODY, sign(SECRET, BODY).encode())

    assert not verify(SECRET, BODY, header)
