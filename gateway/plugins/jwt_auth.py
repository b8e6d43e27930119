"""jwt-auth: lets in who has a token of a tenant's credential; the tenant is that of the verified claim alone.

What a caller says of itself in headers (``X-Tenant-ID``, ``X-Consumer-*``, ``X-Credential-*``) the edge has taken away;
what was verified is put in its place.

Kong takes the first of several ``Authorization`` headers; here two that differ are two tokens, as with its other
sources, for a proxy before us might look at the other one. Kong knows no ``tenant_id``: it has to be a claim, and that
of the credential.

Source: Kong, kong/plugins/jwt/handler.lua (priority 1450).
"""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

from config.plugins import JwtAuthOptions
from gateway.answers import refusal_of
from gateway.asgi import ASGIApp, Header, Receive, Scope, Send
from gateway.context import Identity, context_of
from gateway.credentials import Credentials, KnownCredential
from gateway.policy import Policy
from gateway.refusal import Refusal
from gateway.tokens import BadKeyError, BadTokenError, Keys, Token, faults_of_times, parsed
from kernel.errors import SpazaError

_BEARER: Final = re.compile(r"[Bb]earer\s+(\S.*)")
_SUSPENDED: Final = Refusal(403, "The tenant is suspended")


class JwtAuth:
    """Identifies callers. Fails closed: who cannot be looked up is not let in.

    Args:
        app: the rest of the chain.
        options: see there.
        policy: carries out the refusals.
        credentials: are looked up here.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        app: ASGIApp,
        options: JwtAuthOptions,
        policy: Policy,
        credentials: Credentials,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app, self._options, self._policy, self._credentials = app, options, policy, credentials
        self._keys, self._clock = Keys(secret_is_base64=options.secret_is_base64), clock
        self._header_names = frozenset(name.lower().encode() for name in options.header_names)
        realm = "" if options.realm is None else f' realm="{options.realm}"'
        self._no_token = Refusal(401, "Unauthorized", headers=(_challenge(f"Bearer{realm}"),))
        self._invalid = (_challenge(f'Bearer{realm}{"," if realm else ""} error="invalid_token"'),)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Identify the caller of one request."""
        context = context_of(scope)
        scope["headers"] = headers = [*scope["headers"]]
        given = scope.get("query_string", b"")
        if self._options.uri_param_names:
            # It is for us alone: the operations do not know it, and it is to stand in no log.
            scope["query_string"] = self._without_tokens(given)
        if scope["method"] != "OPTIONS" or self._options.run_on_preflight:
            decided = await self._decided(scope, given)
            if isinstance(decided, Refusal):
                if await self._policy.refuses(scope, send, decided):
                    return
            else:
                context.identity = decided
                headers += _told(decided)
        context.headers = dict(headers)
        await self._app(scope, receive, send)

    async def _decided(self, scope: Scope, query: bytes) -> Identity | Refusal:
        try:
            return await self._decide(scope, query)
        except SpazaError as error:
            if self._policy.enforced:
                raise
            # In shadow nothing is refused, not for want of the directory either.
            return refusal_of(error)

    async def _decide(self, scope: Scope, query: bytes) -> Identity | Refusal:
        token = self._token(scope, query)
        if isinstance(token, Refusal):
            return token
        credential = await self._credential(token)
        return credential if isinstance(credential, Refusal) else self._verified(token, credential)

    def _token(self, scope: Scope, query: bytes) -> Token | Refusal:
        texts = frozenset(self._texts(scope, query))
        if not texts:
            return self._no_token
        if len(texts) > 1:
            return self._refusal("Multiple tokens provided")
        try:
            return parsed(*texts)
        except BadTokenError as error:
            return self._refusal(str(error))

    async def _credential(self, token: Token) -> KnownCredential | Refusal:
        name = self._options.key_claim_name
        named = [
            one for one in (token.claims.get(name), token.header.get(name)) if one is not None and one is not False
        ]
        if not named:
            return self._refusal(f"No mandatory '{name}' in claims")
        if named[0] == "":
            return self._refusal(f"Invalid '{name}' in claims")
        found = await self._credentials.find(named[0]) if isinstance(named[0], str) else None
        return self._refusal(f"No credentials found for given '{name}'") if found is None else found

    def _verified(self, token: Token, credential: KnownCredential) -> Identity | Refusal:
        if token.algorithm != credential.algorithm:
            return self._refusal("Invalid algorithm")
        try:
            if not self._keys.verifies(token, credential.algorithm, credential.secret):
                return self._refusal("Invalid signature")
        except BadKeyError as error:
            return self._refusal(str(error))
        faults = faults_of_times(
            token.claims,
            self._options.claims_to_verify,
            now=self._clock(),
            at_most_s=self._options.maximum_expiration,
        )
        tenant_id = token.claims.get("tenant_id")
        if not isinstance(tenant_id, str):
            faults["tenant_id"] = "must be a string"
        elif tenant_id != credential.tenant_id:
            faults["tenant_id"] = "is not that of the credential"
        if faults:
            # Kong's body is the bare claims.
            return Refusal(401, str(faults), headers=self._invalid, document=faults)
        if not credential.is_served:
            return _SUSPENDED
        return Identity(credential.tenant_id, credential.kid, credential.shard, credential.epoch, credential.limits)

    def _texts(self, scope: Scope, query: bytes) -> Iterator[str]:
        if self._options.uri_param_names:
            given = parse_qsl(query.decode("latin-1"))
            yield from (value for name, value in given if name in self._options.uri_param_names)
        for name, value in scope["headers"]:
            if name in self._header_names:
                found = _BEARER.fullmatch(value.decode("latin-1").strip())
                if found is not None:
                    yield found[1]
            elif name == b"cookie" and self._options.cookie_names:
                yield from self._in_cookies(value.decode("latin-1"))

    def _in_cookies(self, cookies: str) -> Iterator[str]:
        for pair in cookies.split(";"):
            name, _, value = pair.strip().partition("=")
            if value and name in self._options.cookie_names:
                yield value

    def _without_tokens(self, query: bytes) -> bytes:
        names = self._options.uri_param_names
        kept = [one for one in query.split(b"&") if unquote_plus(one.partition(b"=")[0].decode("latin-1")) not in names]
        return b"&".join(kept)

    def _refusal(self, message: str) -> Refusal:
        return Refusal(401, message, headers=self._invalid)


def _challenge(text: str) -> Header:
    return (b"www-authenticate", text.encode())


def _told(identity: Identity) -> list[tuple[bytes, Any]]:
    return [
        (b"x-tenant-id", identity.tenant_id.encode()),
        (b"x-consumer-id", identity.tenant_id.encode()),
        (b"x-credential-identifier", identity.kid.encode()),
    ]
