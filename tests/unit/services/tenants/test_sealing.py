import base64

import pytest

from services.tenants.errors import UnsealError
from services.tenants.sealing import Sealer, access_token_context

KEY = base64.b64encode(b"k" * 32).decode()
NEW_KEY = base64.b64encode(b"n" * 32).decode()


def test_what_was_sealed_is_opened_in_its_context() -> None:
    sealer = Sealer(KEY)

    sealed = sealer.seal("EAAG token é", access_token_context("a"))

    assert sealer.unseal(sealed, access_token_context("a")) == "EAAG token é"
    assert "token" not in sealed


def test_the_same_secret_is_never_sealed_alike() -> None:
    assert Sealer(KEY).seal("x", "c") != Sealer(KEY).seal("x", "c")


def test_a_sealed_text_is_of_no_use_to_another_tenant() -> None:
    sealed = Sealer(KEY).seal("x", access_token_context("a"))

    with pytest.raises(UnsealError):
        Sealer(KEY).unseal(sealed, access_token_context("b"))


def test_a_retired_key_opens_and_the_current_one_seals() -> None:
    old = Sealer(KEY).seal("x", "c")
    rotated = Sealer(NEW_KEY, KEY)

    assert rotated.unseal(old, "c") == "x"
    assert Sealer(NEW_KEY).unseal(rotated.seal("y", "c"), "c") == "y"


def test_an_unknown_key_is_named_by_its_id_alone() -> None:
    sealed = Sealer(KEY).seal("x", "c")

    with pytest.raises(UnsealError, match=sealed.split(".")[1]):
        Sealer(NEW_KEY).unseal(sealed, "c")


def test_every_change_to_a_sealed_text_is_noticed() -> None:
    sealed = Sealer(KEY).seal("secret", "c")

    for position in range(len(sealed)):
        other = "A" if sealed[position] != "A" else "B"
        changed = sealed[:position] + other + sealed[position + 1 :]
        with pytest.raises(UnsealError):
            Sealer(KEY).unseal(changed, "c")


@pytest.mark.parametrize("text", ["", "v1", "v1.", "v1.abc", "v2.a.b", "plain"])
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(UnsealError):
        Sealer(KEY).unseal(text, "c")


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(base64.b64encode(b"short").decode())
