"""The plugins' settings as ``routes.yaml`` has them, in Kong's words where Kong has the plugin."""

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from config.option_types import (
    Flag,
    HeaderName,
    HeaderNames,
    HeaderPairs,
    Names,
    Network,
    NewNames,
    OwnHeaderName,
    Pairs,
    RenamedHeaders,
    Seconds,
    Whole,
    value_fault,
)

_UNITS: Final[Mapping[str, int]] = {"bytes": 1, "kilobytes": 1024, "megabytes": 1024 * 1024}


class Options(BaseModel):
    """Settings of a plugin. Frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PolicyOptions(Options):
    """Settings of a plugin that may refuse.

    Attributes:
        mode: ``shadow`` decides, counts and logs, and lets pass.
    """

    mode: Literal["enforce", "shadow"] = "enforce"


class CorrelationIdOptions(Options):
    header_name: OwnHeaderName = "X-Correlation-ID"
    generator: Literal["uuid"] = "uuid"
    echo_downstream: Flag = True


class RequestSizeLimitingOptions(PolicyOptions):
    """How large a body may be.

    Attributes:
        allowed_payload_size: in ``size_unit``.
        read_timeout_s: for the whole body to arrive.
        pause_timeout_s: for the next piece of it.
    """

    allowed_payload_size: Whole = Field(default=1, ge=1)
    size_unit: Literal["bytes", "kilobytes", "megabytes"] = "megabytes"
    require_content_length: Flag = False
    read_timeout_s: Seconds = Field(default=20.0, gt=0)
    pause_timeout_s: Seconds = Field(default=5.0, gt=0)

    @property
    def limit_bytes(self) -> int:
        """The same in bytes."""
        return self.allowed_payload_size * _UNITS[self.size_unit]


class CorsOptions(Options):
    """Which pages of other origins may call.

    Attributes:
        origins: exact, such as ``https://shop.example``, ``*`` for all, or a regular expression of the whole.
        headers: that callers may send; none: those that the preflight asks for.
        max_age: seconds for which a browser may remember a preflight; None leaves it to the browser.
        preflight_continue: lets the application answer preflights.
        allow_origin_absent: whether answers to who names no origin have the headers too.
    """

    origins: Names = ("*",)
    methods: tuple[Literal["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT"], ...] = (
        "GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT",
    )  # fmt: skip
    headers: tuple[HeaderName, ...] = ()
    exposed_headers: tuple[HeaderName, ...] = ()
    max_age: Whole | None = Field(default=None, ge=0)
    credentials: Flag = False
    preflight_continue: Flag = False
    private_network: Flag = False
    allow_origin_absent: Flag = True

    @model_validator(mode="after")
    def _expressions(self) -> Self:
        for one in self.origins:
            try:
                re.compile(one if one != "*" else "")
            except re.error as error:
                raise ValueError(f"origins has {one!r}, which is no regular expression: {error}; correct it") from error
        if not self.origins:
            raise ValueError("origins must not be empty; write '*' for all, or take the plugin out")
        return self


class JwtAuthOptions(PolicyOptions):
    """Whose JWTs are let in.

    Attributes:
        uri_param_names: parameters of the query that may hold the token. They end in logs, so none by default.
        cookie_names: cookies that may hold it.
        header_names: headers that may, as ``Bearer <token>``.
        key_claim_name: names the credential, in the payload or else in the token's header.
        secret_is_base64: whether secrets of HS* algorithms are decoded first.
        claims_to_verify: which claims have to be there and hold.
        maximum_expiration: seconds that a token may still hold at most; 0 for any.
        run_on_preflight: whether OPTIONS needs a token too.
        realm: named in the challenge.
    """

    uri_param_names: Names = ()
    cookie_names: Names = ()
    header_names: tuple[HeaderName, ...] = ("authorization",)
    key_claim_name: str = Field(default="kid", min_length=1)
    secret_is_base64: Flag = True
    claims_to_verify: tuple[Literal["exp", "nbf", "tenant_id"], ...] = ("exp", "tenant_id")
    maximum_expiration: Whole = Field(default=0, ge=0, le=31_536_000)
    run_on_preflight: Flag = True
    realm: Annotated[str, Field(pattern=r'^[^"\\\x00-\x1f\x7f]+$')] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if "tenant_id" not in self.claims_to_verify:
            raise ValueError("claims_to_verify must have tenant_id, for the tenant comes from nowhere else; add it")
        if self.maximum_expiration and "exp" not in self.claims_to_verify:
            raise ValueError("maximum_expiration wants exp among claims_to_verify; add it, or remove the maximum")
        if not (self.uri_param_names or self.cookie_names or self.header_names):
            raise ValueError("names no place for the token; give header_names, cookie_names or uri_param_names")
        return self


class AdminAuthOptions(Options):
    """The admin token is ``SPAZA_ADMIN__TOKEN``; there is nothing to set here."""


class HmacAuthOptions(PolicyOptions):
    """Under whose signature bodies are let in. Kong's own scheme is left out, for nobody calls with it.

    Attributes:
        scheme: ``x-hub-signature-256`` is Meta's: HMAC-SHA256 of the raw body under the app's secret.
        methods: of requests that have to be signed.
    """

    scheme: Literal["x-hub-signature-256"] = "x-hub-signature-256"
    methods: tuple[Literal["POST", "PUT", "PATCH"], ...] = ("POST",)


class RequestValidatorOptions(PolicyOptions):
    """Whether requests are what the route's operations say.

    Attributes:
        content_type_parameter_validation: whether a media type's parameters are compared too; with
            ``application/json`` allowed, ``application/json; charset=utf-8`` is refused then.
        verbose_response: whether the fields are named.
    """

    content_type_parameter_validation: Flag = True
    verbose_response: Flag = True


class IpRestrictionOptions(PolicyOptions):
    """From where callers may come; the deny list goes first.

    Attributes:
        trusted_ips: proxies whose ``X-Forwarded-For`` is believed. HAProxy on this machine is one.
    """

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    status: Whole = Field(default=403, ge=400, le=599)
    message: str = "IP address not allowed"
    trusted_ips: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.allow or self.deny):
            raise ValueError("must have allow or deny; write one, or take the plugin out")
        return self


class RateLimitingOptions(PolicyOptions):
    """How many requests of a tenant pass.

    Attributes:
        minute: requests in a minute of the clock; None for ``SPAZA_LIMITS__MINUTE``.
        hour: in an hour; None for ``SPAZA_LIMITS__HOUR``.
        policy: whose requests are counted together.
        on_limit: ``reject`` answers 429; ``defer`` takes it and lets the mailbox shape it.
        fault_tolerant: whether a process decides by what it knows while the limiter cannot; else answers are 500.
        hide_client_headers: sends none of the headers.
        whatever_own: the route's limits hold whatever a tenant has of its own on each route; what it has on this one
            alone still wins.
    """

    minute: Whole | None = Field(default=None, ge=1)
    hour: Whole | None = Field(default=None, ge=1)
    policy: Literal["tenant-id"] = "tenant-id"
    on_limit: Literal["reject", "defer"] = "reject"
    fault_tolerant: Flag = True
    hide_client_headers: Flag = False
    whatever_own: Flag = False

    @model_validator(mode="after")
    def _longer_is_more(self) -> Self:
        if self.minute is not None and self.hour is not None and self.hour < self.minute:
            raise ValueError("hour must be at least minute; raise it, or lower minute")
        return self


class Removed(Options):
    headers: HeaderNames = ()
    querystring: Names = ()
    body: Names = ()


class Changed(Options):
    """Pairs ``name:value``; values may hold templates such as ``$(headers.x-name)``."""

    headers: HeaderPairs = ()
    querystring: Pairs = ()
    body: Pairs = ()


class Renamed(Options):
    """Pairs of an old name and a new one, ``old:new``."""

    headers: RenamedHeaders = ()
    querystring: NewNames = ()
    body: NewNames = ()


class RequestTransformerOptions(Options):
    """What becomes of requests, in this order: remove, rename, replace, add, append."""

    remove: Removed = Removed()
    rename: Renamed = Renamed()
    replace: Changed = Changed()
    add: Changed = Changed()
    append: Changed = Changed()


class RemovedOfAnswer(Options):
    headers: HeaderNames = ()
    json_: Names = Field(default=(), alias="json")


class ChangedInAnswer(Options):
    """Pairs ``name:value``; values may hold templates, as those of ``Changed``.

    Attributes:
        json_types: of the values in ``json_``, in their order.
    """

    headers: HeaderPairs = ()
    json_: Pairs = Field(default=(), alias="json")
    json_types: tuple[Literal["string", "number", "boolean"], ...] = ()

    @model_validator(mode="after")
    def _types_fit(self) -> Self:
        if len(self.json_types) > len(self.json_):
            raise ValueError("json_types has more entries than json; remove those that are over")
        for pair, kind in zip(self.json_, self.json_types, strict=False):
            if fault := value_fault(pair, kind):
                raise ValueError(fault)
        return self


class RenamedInAnswer(Options):
    """Pairs of an old name and a new one, ``old:new``."""

    headers: RenamedHeaders = ()
    json_: NewNames = Field(default=(), alias="json")


class ResponseTransformerOptions(Options):
    """What becomes of answers, in this order: remove, rename, replace, add, append."""

    remove: RemovedOfAnswer = RemovedOfAnswer()
    rename: RenamedInAnswer = RenamedInAnswer()
    replace: ChangedInAnswer = ChangedInAnswer()
    add: ChangedInAnswer = ChangedInAnswer()
    append: ChangedInAnswer = ChangedInAnswer()


# What may be in front of a route. In Kong's order of execution, from its PRIORITY numbers; but the body is read before
# hmac-auth and request-validator, which look at it.
PLUGINS: Final[Mapping[str, type[Options]]] = {
    "correlation-id": CorrelationIdOptions,
    "cors": CorsOptions,
    "jwt-auth": JwtAuthOptions,
    "admin-auth": AdminAuthOptions,
    "ip-restriction": IpRestrictionOptions,
    "request-size-limiting": RequestSizeLimitingOptions,
    "hmac-auth": HmacAuthOptions,
    "request-validator": RequestValidatorOptions,
    "rate-limiting": RateLimitingOptions,
    "request-transformer": RequestTransformerOptions,
    "response-transformer": ResponseTransformerOptions,
}
