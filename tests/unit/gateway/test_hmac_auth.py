"""Meta's signature in front of a route; the words are those of Kong's hmac-auth.

Follows Kong, spec/03-plugins/19-hmac-auth/03-access_spec.lua, where its cases are not of Kong's own scheme; what the
signature is of: ``tests/unit/integrations/test_whatsapp_signature.py``.
"""

from typing import Any

import pytest

from config.plugins import HmacAuthOptions
from gateway.chain import Parts, chained
from gateway.errors import UnbuiltChainError
from integrations.whatsapp.signature import sign
from tests.gateway import Watch
from tests.unit.gateway.bench import Answered, App, answered, route

OLD, NEW = b"old-secret", b"new-secret"
BODY = b'{"object":"\\u0065"}'


class Gate:
    def __init__(self, secrets: tuple[bytes, ...] = (NEW, OLD), **options: Any) -> None:
        self.app, self.watch = App(), Watch()
        signed = route({"hmac-auth": HmacAuthOptions(**options)})
        self.chain = chained(self.app, signed, Parts(self.watch, app_secrets=secrets))

    async def post(self, *signatures: str, body: Any = BODY, method: str = "POST") -> Answered:
        headers = [("X-Hub-Signature-256", one) for one in signatures]
        return await answered(self.chain, method, body=body, headers=headers)


@pytest.mark.parametrize("secret", [OLD, NEW])
async def test_any_of_several_secrets_may_have_signed_while_one_is_replaced(secret: bytes) -> None:
    gate = Gate()

    assert (await gate.post(sign(secret, BODY))).status == 200
    assert gate.app.bodies == [BODY]


async def test_a_secret_that_was_taken_away_signs_no_more() -> None:
    answer = await Gate((NEW,)).post(sign(OLD, BODY))

    assert (answer.status, answer.json()["message"]) == (401, "HMAC signature does not match")


@pytest.mark.parametrize(
    ("signatures", "message"),
    [
        ((), "Unauthorized"),
        (("",), "HMAC signature does not match"),
        (("sha256=",), "HMAC signature does not match"),
        ((sign(NEW, BODY).upper(),), "HMAC signature does not match"),
        ((sign(NEW, BODY).replace("sha256", "sha1"),), "HMAC signature does not match"),
        ((sign(NEW, BODY + b" "),), "HMAC signature does not match"),
        ((sign(b"", BODY),), "HMAC signature does not match"),
        ((sign(NEW, BODY), sign(NEW, BODY)), "There is more than one HMAC signature"),
        (("sha256=" + "é" * 64,), "HMAC signature does not match"),
    ],
)
async def test_what_is_not_signed_is_refused_and_gets_no_further(signatures: tuple[str, ...], message: str) -> None:
    gate = Gate()

    answer = await gate.post(*signatures)

    assert (answer.status, answer.json()["message"]) == (401, message)
    assert gate.app.scopes == []
    assert gate.watch.refusals == [("things", "hmac-auth", 401, True)]


async def test_a_body_in_pieces_is_verified_as_a_whole() -> None:
    assert (await Gate().post(sign(NEW, BODY), body=[BODY[:3], BODY[3:]])).status == 200


async def test_only_the_methods_of_the_options_have_to_be_signed() -> None:
    assert (await Gate().post(method="GET", body=b"")).status == 200
    assert (await Gate(methods=["POST", "PUT"]).post(method="PUT")).status == 401


async def test_in_shadow_a_forged_body_is_counted_and_passes() -> None:
    gate = Gate(mode="shadow")

    assert (await gate.post("sha256=" + "0" * 64)).status == 200
    assert gate.watch.refusals == [("things", "hmac-auth", 401, False)]


def test_a_route_whose_secret_was_not_given_is_not_served() -> None:
    with pytest.raises(UnbuiltChainError, match="needs app secrets"):
        chained(App(), route({"hmac-auth": HmacAuthOptions()}), Parts(Watch()))
