"""Kong's cases for jwt, and those of tenants that Kong does not know.

Follows Kong, spec/03-plugins/16-jwt/01-jwt_parser_spec.lua, 03-access_spec.lua and 04-invalidations_spec.lua.
"""

import json
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from actors.rate_limiter.own_limits import OwnLimits
from config.plugins import JwtAuthOptions, Options, RequestValidatorOptions
from gateway.asgi import Receive, Scope, Send
from gateway.chain import Parts, chained
from gateway.context import context_of
from gateway.operations import Operation
from gateway.plugins.jwt_auth import JwtAuth
from gateway.policy import Policy
from services.tenants.errors import CredentialUnavailableError
from tests.gateway import Watch
from tests.unit.gateway.bench import Answered, App, answered, route
from tests.unit.gateway.callers import (
    KEY,
    NOW,
    OTHER,
    RSA,
    RSA_PUBLIC,
    SECRET,
    TENANT,
    FakeCredentials,
    bearer,
    credential,
    raw_token,
    token,
)

INVALID = 'Bearer error="invalid_token"'


class Gate:
    """A route behind jwt-auth."""

    def __init__(self, *known: Any, **options: Any) -> None:
        self.app, self.watch = App(), Watch()
        self.credentials = FakeCredentials(*(known or (credential("k1"), credential("k2", OTHER))))
        given = JwtAuthOptions(**options)
        policy = Policy("things", "jwt-auth", self.watch, enforced=given.mode == "enforce")
        self.chain = chained(
            JwtAuth(self.app, given, policy, self.credentials, clock=lambda: NOW), route(), Parts(self.watch)
        )

    async def get(self, headers: Any = (), method: str = "GET", query: str = "") -> Answered:
        return await answered(self.chain, method, headers=headers, query=query)

    async def ask(self, text: str) -> Answered:
        return await self.get(bearer(text))


def refused(answer: Answered, message: str, challenge: str = INVALID) -> None:
    assert (answer.status, answer.json()["message"]) == (401, message)
    assert answer.json()["request_id"] == answer.headers["x-correlation-id"]
    assert answer.headers["www-authenticate"] == challenge


async def test_without_a_token_nobody_gets_in() -> None:
    gate = Gate()

    refused(await gate.get(), "Unauthorized", "Bearer")
    assert gate.app.scopes == []
    assert gate.watch.refusals == [("things", "jwt-auth", 401, True)]


async def test_a_realm_is_named_in_the_challenge() -> None:
    gate = Gate(realm="spaza")

    refused(await gate.get(), "Unauthorized", 'Bearer realm="spaza"')
    refused(await gate.ask("x"), "Bad token; invalid JSON", 'Bearer realm="spaza", error="invalid_token"')


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kid": None}, "No mandatory 'kid' in claims"),
        ({"kid": ""}, "Invalid 'kid' in claims"),
        ({"kid": "123456789"}, "No credentials found for given 'kid'"),
        ({"kid": 7}, "No credentials found for given 'kid'"),
        ({"kid": ["k1"]}, "No credentials found for given 'kid'"),
        ({"key": b"f" * 32}, "Invalid signature"),
        ({"algorithm": "HS512"}, "Invalid algorithm"),
    ],
)
async def test_a_token_that_no_credential_of_its_name_has_signed_is_refused_in_kongs_words(
    given: dict[str, Any], message: str
) -> None:
    refused(await Gate().ask(token(**given)), message)


async def test_the_key_is_looked_for_in_the_payload_first_and_then_in_the_header() -> None:
    gate = Gate()

    in_header = await gate.ask(token(kid=None, header={"kid": "k1"}))
    in_both = await gate.ask(token(kid="k1", header={"kid": "k2"}))

    assert (in_header.status, in_both.status) == (200, 200)
    assert gate.credentials.asked == ["k1", "k1"]


async def test_the_key_may_stand_in_a_claim_of_another_name() -> None:
    gate = Gate(key_claim_name="iss")

    assert (await gate.ask(token(kid=None, iss="k1"))).status == 200
    refused(await gate.ask(token()), "No mandatory 'iss' in claims")


async def test_the_application_is_told_who_calls_and_not_what_the_caller_says() -> None:
    gate = Gate(credential("k1", limits=OwnLimits(5)))
    said = [("X-Tenant-ID", OTHER), ("x_tenant_id", OTHER), ("X-Consumer-Username", "root"), ("X-Consumer-Groups", "a"),
            ("X-Credential-Identifier", "k2"), ("X-Anonymous-Consumer", "true"), ("X-Other", "kept")]  # fmt: skip

    await gate.get([*said, *bearer(token())])

    identity = gate.app.context.known
    assert (identity.tenant_id, identity.kid, identity.shard, identity.limits) == (TENANT, "k1", 7, OwnLimits(5))
    assert {name: one for name, one in gate.app.upstream.items() if name.startswith("x")} == {
        "x-tenant-id": TENANT, "x-consumer-id": TENANT, "x-credential-identifier": "k1", "x-other": "kept",
    }  # fmt: skip
    assert gate.app.context.headers[b"x-tenant-id"] == TENANT.encode()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Bearer  "])
async def test_the_scheme_is_bearer(scheme: str) -> None:
    assert (await Gate().get([("Authorization", f"{scheme} {token()}")])).status == 200


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic {}", "{}", "Token Bearer {}"])
async def test_any_other_scheme_is_no_token(value: str) -> None:
    refused(await Gate().get([("Authorization", value.format(token()))]), "Unauthorized", "Bearer")


async def test_a_token_is_found_where_the_options_say() -> None:
    text = token()
    gate = Gate(uri_param_names=["jwt"], cookie_names=["crumble", "silly"], header_names=["CustomAuthorization"])

    statuses = [
        (await gate.get(query=f"a=1&jwt={text}")).status,
        (await gate.get([("Cookie", f"x=1; silly={text}")])).status,
        (await gate.get([("CustomAuthorization", f"Bearer {text}")])).status,
        (await gate.get(bearer(text))).status,
        (await Gate().get([("Cookie", f"jwt={text}")], query=f"jwt={text}")).status,
    ]

    assert statuses == [200, 200, 200, 401, 401]


async def test_a_token_in_the_query_is_for_jwt_auth_alone_so_that_a_strict_route_takes_it() -> None:
    class Wanted(BaseModel):
        model_config = ConfigDict(extra="forbid")

        q: str

    app = App()
    plugins: dict[str, Options] = {
        "jwt-auth": JwtAuthOptions(uri_param_names=("jwt", "a token")), "request-validator": RequestValidatorOptions(),
    }  # fmt: skip
    parts = Parts(Watch(), credentials=FakeCredentials(credential("k1")))
    chain = chained(app, route(plugins), parts, (Operation("GET", "/", "List.", query=Wanted),))
    text = token(exp=4e9)

    for query in (f"q=milk&jwt={text}", f"a+token={text}&q=milk", f"%6Awt={text}&q=milk", f"q=milk&jwt={text}&jwt="):
        assert (await answered(chain, query=query)).status == 200
        assert app.scopes[-1]["query_string"] == b"q=milk"
    assert (await answered(chain, query="q=milk&jwt=")).status == 401


async def test_two_different_tokens_are_refused_wherever_they_stand_and_one_twice_is_one() -> None:
    gate, mine, other = Gate(uri_param_names=["jwt"]), token(), token(nbf=1)

    for two in (
        await gate.get(bearer(mine), query="jwt=invalid.jwt.token"),
        await gate.get(query=f"jwt={mine}&jwt={other}"),
        await gate.get([*bearer(mine), *bearer(other)]),
        await gate.get([*bearer(other), *bearer(mine)]),
    ):
        refused(two, "Multiple tokens provided")
    assert (await gate.get([*bearer(mine), *bearer(mine)], query=f"jwt={mine}")).status == 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "Bad token; invalid JSON"),
        ("a.b.c", "Bad token; invalid JSON"),
        ("..", "Bad token; invalid JSON"),
        (raw_token(b'{"alg":"HS256"}', b"not json"), "Bad token; invalid JSON"),
        (raw_token(b'{"alg":"HS256"}', b'{"exp":NaN}'), "Bad token; invalid JSON"),
        (raw_token(b'{"alg":"HS256"}', b"[1]"), "Bad token; invalid claims"),
        (raw_token(b'{"alg":"none"}', b"{}"), "Bad token; invalid alg"),
        (raw_token(b'{"alg":"None"}', b"{}"), "Bad token; invalid alg"),
        (raw_token(b"{}", b"{}"), "Bad token; invalid alg"),
        (raw_token(b'{"alg":["HS256"]}', b"{}"), "Bad token; invalid alg"),
        (raw_token(b'{"alg":"HS256","crit":["b64"],"b64":false}', b""), "Bad token; invalid JSON"),
        (raw_token(b'{"alg":"HS256","crit":["exp"]}', b"{}"), "Bad token; invalid JSON"),
        (raw_token(b'{"alg":"HS256","crit":["b64"],"b64":true}', b"{}"), "Bad token; invalid crit"),
        (raw_token(b"[]", b"{}"), "Bad token; invalid JSON"),
    ],
)
async def test_what_is_no_token_is_refused_as_bad(text: str, message: str) -> None:
    refused(await Gate().ask(text), message)


async def test_a_token_without_a_signature_or_with_another_algorithms_is_refused() -> None:
    signed, _, _ = token().rpartition(".")
    gate = Gate(credential("k1", algorithm="RS256", secret=RSA_PUBLIC))

    refused(await Gate().ask(f"{signed}."), "Invalid signature")
    # The public key is no secret: signing with it as one must not pass.
    refused(await gate.ask(raw_token(b'{"alg":"HS256"}', json.dumps({"kid": "k1"}).encode())), "Invalid algorithm")
    refused(await gate.ask(raw_token(b'{"alg":"RS256"}', json.dumps({"kid": "k1"}).encode())), "Invalid signature")


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256"])
async def test_a_public_key_verifies_whether_or_not_secrets_are_base64(algorithm: str) -> None:
    known = credential("k1", algorithm=algorithm, secret=RSA_PUBLIC)
    text = token(key=RSA, algorithm=algorithm)

    assert (await Gate(known).ask(text)).status == 200
    assert (await Gate(known, secret_is_base64=False).ask(text)).status == 200


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_secret_is_decoded_from_base64_or_taken_as_it_is(algorithm: str) -> None:
    coded = credential("k1", algorithm=algorithm)
    plain = Gate(coded, secret_is_base64=False)

    assert (await Gate(coded).ask(token(algorithm=algorithm))).status == 200
    assert (await plain.ask(token(key=SECRET, algorithm=algorithm))).status == 200
    refused(await plain.ask(token(algorithm=algorithm)), "Invalid signature")


@pytest.mark.parametrize(
    ("algorithm", "secret"),
    [("HS256", "not base64!"), ("HS256", ""), ("RS256", "no key"), ("RS256", SECRET), ("HS256", "é")],
)
async def test_a_credential_with_which_nothing_can_be_verified_lets_nobody_in(algorithm: str, secret: str) -> None:
    key = KEY if algorithm == "HS256" else RSA
    gate = Gate(credential("k1", algorithm=algorithm, secret=secret))

    refused(await gate.ask(token(key=key, algorithm=algorithm)), "Invalid key/secret")


@pytest.mark.parametrize(
    ("claims", "document"),
    [
        ({"exp": None}, {"exp": "must be a number"}),
        ({"exp": "1900000000"}, {"exp": "must be a number"}),
        ({"exp": True}, {"exp": "must be a number"}),
        ({"exp": NOW}, {"exp": "token expired"}),
        ({"exp": NOW - 1}, {"exp": "token expired"}),
        ({"exp": -1}, {"exp": "token expired"}),
        ({"nbf": NOW + 1}, {"nbf": "token not valid yet"}),
        ({"nbf": "x", "exp": None}, {"exp": "must be a number", "nbf": "must be a number"}),
        ({"tenant_id": None}, {"tenant_id": "must be a string"}),
        ({"tenant_id": 7}, {"tenant_id": "must be a string"}),
        ({"tenant_id": OTHER}, {"tenant_id": "is not that of the credential"}),
        ({"tenant_id": ""}, {"tenant_id": "is not that of the credential"}),
    ],
)
async def test_claims_that_do_not_hold_are_answered_bare(claims: dict[str, Any], document: dict[str, str]) -> None:
    answer = await Gate().ask(token(**claims))

    assert (answer.status, answer.json()) == (401, document)
    assert answer.headers["www-authenticate"] == INVALID


async def test_an_endless_number_is_no_time() -> None:
    claims = json.dumps({"kid": "k1", "tenant_id": TENANT}).rstrip("}").encode()
    gate = Gate()

    for endless in (b"1e999", b"Infinity", b"NaN"):
        assert (await gate.ask(raw_token(b'{"alg":"HS256"}', claims + b', "exp": ' + endless + b"}"))).status == 401


@pytest.mark.parametrize("claims", [{}, {"nbf": NOW}, {"exp": NOW + 0.5}])
async def test_claims_that_hold_pass(claims: dict[str, Any]) -> None:
    assert (await Gate().ask(token(**claims))).status == 200


async def test_nbf_may_be_required() -> None:
    gate = Gate(claims_to_verify=["exp", "nbf", "tenant_id"])

    assert (await gate.ask(token())).json() == {"nbf": "must be a number"}


async def test_a_token_may_not_hold_longer_than_the_maximum() -> None:
    gate = Gate(maximum_expiration=300)

    assert (await gate.ask(token(exp=NOW + 300))).status == 200
    assert (await gate.ask(token(exp=NOW + 301))).json() == {"exp": "exceeds maximum allowed expiration"}


async def test_a_preflight_needs_a_token_unless_the_options_say_otherwise() -> None:
    refused(await Gate().get(method="OPTIONS"), "Unauthorized", "Bearer")
    assert (await Gate(run_on_preflight=False).get(method="OPTIONS")).status == 200
    assert (await Gate(run_on_preflight=False).get(method="GET")).status == 401


async def test_a_suspended_tenant_is_refused_with_a_token_that_holds_alone() -> None:
    gate = Gate(credential("k1", is_served=False))

    suspended = await gate.ask(token())

    assert (suspended.status, suspended.json()["message"]) == (403, "The tenant is suspended")
    refused(await gate.ask(token(key=b"f" * 32)), "Invalid signature")


async def test_a_credential_that_cannot_be_looked_up_lets_nobody_in_and_says_to_come_again() -> None:
    gate = Gate()
    gate.credentials.error = CredentialUnavailableError("k1")

    answer = await gate.ask(token())

    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
    assert gate.app.scopes == []


async def test_a_rotated_secret_counts_with_the_next_call() -> None:
    gate = Gate()
    assert (await gate.ask(token())).status == 200

    gate.credentials.known["k1"] = credential("k1", secret="bmV3" * 11)
    refused(await gate.ask(token()), "Invalid signature")
    del gate.credentials.known["k1"]
    refused(await gate.ask(token()), "No credentials found for given 'kid'")


async def test_in_shadow_a_refusal_is_counted_and_passes_as_nobody() -> None:
    gate = Gate(mode="shadow")

    passed = await gate.get([*bearer(token(key=b"f" * 32)), ("X-Tenant-ID", OTHER)])

    assert passed.status == 200
    assert gate.app.context.identity is None
    assert "x-tenant-id" not in gate.app.upstream
    assert gate.watch.refusals == [("things", "jwt-auth", 401, False)]
    assert (await gate.ask(token())).status == 200
    assert gate.app.context.known.tenant_id == TENANT


async def test_in_shadow_a_credential_that_cannot_be_looked_up_is_counted_and_passes_as_nobody() -> None:
    gate = Gate(mode="shadow")
    gate.credentials.error = CredentialUnavailableError("k1")

    passed = await gate.ask(token())

    assert passed.status == 200
    assert gate.app.context.identity is None
    assert gate.watch.refusals == [("things", "jwt-auth", 503, False)]


async def test_what_belongs_to_a_tenant_is_not_done_for_nobody() -> None:
    async def use(scope: Scope, receive: Receive, send: Send) -> None:
        context_of(scope).known  # noqa: B018

    answer = await answered(chained(App(handle=use), route(), Parts(Watch())))

    assert (answer.status, answer.json()["message"]) == (401, "Unauthorized")


def test_a_secret_is_not_shown() -> None:
    assert SECRET not in repr(credential("k1"))
