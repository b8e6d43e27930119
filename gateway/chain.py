"""Puts a route's plugins in front of its application: in Kong's order, whatever order the file has, once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from actors.rate_limiter.decision import Limits
from config.plugins import (
    AdminAuthOptions,
    CorrelationIdOptions,
    CorsOptions,
    HmacAuthOptions,
    IpRestrictionOptions,
    JwtAuthOptions,
    PolicyOptions,
    RateLimitingOptions,
    RequestSizeLimitingOptions,
    RequestTransformerOptions,
    RequestValidatorOptions,
    ResponseTransformerOptions,
)
from config.routes import Route
from config.setting_types import LoggedRequests
from gateway.asgi import ASGIApp, Scope
from gateway.context import context_of
from gateway.credentials import Credentials
from gateway.deadline import Deadline
from gateway.edge import Edge
from gateway.limited_routes import PLUGIN, limits_of
from gateway.limiter import Aside, Limiter
from gateway.needs import Given, demand
from gateway.observer import GatewayObserver
from gateway.operations import Matched, Operation, Operations
from gateway.plugins.admin_auth import AdminAuth
from gateway.plugins.correlation_id import CorrelationId
from gateway.plugins.cors import Cors
from gateway.plugins.hmac_auth import HmacAuth
from gateway.plugins.ip_restriction import IpRestriction
from gateway.plugins.jwt_auth import JwtAuth
from gateway.plugins.rate_limiting import RateLimiting
from gateway.plugins.request_size_limiting import RequestSizeLimiting, TakesBody
from gateway.plugins.request_transformer import RequestTransformer
from gateway.plugins.request_validator import RequestValidator
from gateway.plugins.response_transformer import ResponseTransformer
from gateway.policy import Policy


class Parts(NamedTuple):
    """What plugins stand on, in one process.

    Attributes:
        observer: watches.
        limiter: for rate-limiting.
        limits: of tenants and routes that have none of their own.
        aside: decides while the limiter cannot.
        counts_messages: the application counts what it is sent by itself, for it alone knows whose that is.
        credentials: for jwt-auth.
        app_secrets: for hmac-auth.
        admin_token: for admin-auth.
        logs_requests: of which requests a line says that they were answered; see ``LogSettings``.
    """

    observer: GatewayObserver
    limiter: Limiter | None = None
    limits: Limits = Limits(100, 5000)
    aside: Aside | None = None
    counts_messages: bool = False
    credentials: Credentials | None = None
    app_secrets: tuple[bytes, ...] = ()
    admin_token: bytes = b""
    logs_requests: LoggedRequests = "none"

    def given(self, operations: Sequence[Operation]) -> Given:
        """What is there of it."""
        return Given(
            operations=bool(operations),
            limiter=self.limiter is not None,
            counts_messages=self.counts_messages,
            credentials=self.credentials is not None,
            app_secrets=bool(self.app_secrets),
            admin_token=bool(self.admin_token),
        )

    def __repr__(self) -> str:
        return "Parts(***)"


class Setting(NamedTuple):
    """Where a plugin is put."""

    route: Route
    parts: Parts
    operations: tuple[Operation, ...]

    def policy(self, plugin: str, options: PolicyOptions) -> Policy:
        """Carries out the refusals of a plugin."""
        return Policy(self.route.name, plugin, self.parts.observer, enforced=options.mode == "enforce")


Maker = Callable[[ASGIApp, Any, Setting], ASGIApp]


def _cors(app: ASGIApp, options: CorsOptions, _setting: Setting) -> ASGIApp:
    return Cors(app, options)


def _ip_restriction(app: ASGIApp, options: IpRestrictionOptions, setting: Setting) -> ASGIApp:
    return IpRestriction(app, options, setting.policy("ip-restriction", options))


def _jwt_auth(app: ASGIApp, options: JwtAuthOptions, setting: Setting) -> ASGIApp:
    assert setting.parts.credentials is not None
    return JwtAuth(app, options, setting.policy("jwt-auth", options), setting.parts.credentials)


def _admin_auth(app: ASGIApp, _options: AdminAuthOptions, setting: Setting) -> ASGIApp:
    return AdminAuth(app, setting.parts.admin_token, setting.parts.observer)


def _request_validator(app: ASGIApp, options: RequestValidatorOptions, setting: Setting) -> ASGIApp:
    policy = setting.policy("request-validator", options)
    return RequestValidator(app, options, policy, Operations(setting.operations))


def _hmac_auth(app: ASGIApp, options: HmacAuthOptions, setting: Setting) -> ASGIApp:
    return HmacAuth(app, options, setting.policy("hmac-auth", options), setting.parts.app_secrets)


def _request_transformer(app: ASGIApp, options: RequestTransformerOptions, setting: Setting) -> ASGIApp:
    return RequestTransformer(app, options, Operations(setting.operations))


def _response_transformer(app: ASGIApp, options: ResponseTransformerOptions, setting: Setting) -> ASGIApp:
    return ResponseTransformer(app, options, Operations(setting.operations))


def _rate_limiting(app: ASGIApp, options: RateLimitingOptions, setting: Setting) -> ASGIApp:
    parts, route = setting.parts, setting.route
    if parts.counts_messages:
        return app
    assert parts.limiter is not None
    policy = setting.policy(PLUGIN, options)
    return RateLimiting(app, options, policy, parts.limiter, limits_of(route, parts.limits), aside=parts.aside)


# By name, what makes a plugin; what it stands on was demanded.
MAKERS: Final[Mapping[str, Maker]] = {
    "cors": _cors,
    "jwt-auth": _jwt_auth,
    "admin-auth": _admin_auth,
    "hmac-auth": _hmac_auth,
    "request-validator": _request_validator,
    "ip-restriction": _ip_restriction,
    "request-transformer": _request_transformer,
    "response-transformer": _response_transformer,
    PLUGIN: _rate_limiting,
}
# They look at headers alone, and so come before the body: of who is nobody none is read.
_BEFORE_BODY: Final = frozenset({"cors", "jwt-auth", "admin-auth", "ip-restriction"})
_IDENTIFYING: Final = frozenset({"jwt-auth", "admin-auth"})
_BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# In front of every route, whether it names them or not.
_AROUND: Final = frozenset({"correlation-id", "request-size-limiting"})


def chained(
    app: ASGIApp,
    route: Route,
    parts: Parts,
    operations: Sequence[Operation] = (),
) -> ASGIApp:
    """The application behind the route's plugins.

    Args:
        app: serves what gets through.
        route: with its plugins, in Kong's order.
        parts: of this process.
        operations: what the route can be asked. Of what is none of them, or takes no body, no body is read; where
            nothing is said of them, of all but GET and its like.

    Raises:
        UnbuiltChainError: a plugin lacks what it stands on; better not served than served without it.
    """
    demand(route, parts.given(operations))
    setting = Setting(route, parts, tuple(operations))
    size = route.options("request-size-limiting", RequestSizeLimitingOptions())
    named = [name for name in route.plugins if name not in _AROUND]
    before = [name for name in named if name in _BEFORE_BODY]
    # The id first, so that whatever is refused has one; then who calls; then the body, before anybody looks at it.
    app = _behind(app, [name for name in named if name not in _BEFORE_BODY], setting)
    app = Deadline(app, route.timeout_s)
    policy = setting.policy("request-size-limiting", size)
    app = RequestSizeLimiting(app, size, policy, _takes_body(setting.operations))
    if before:
        app = Deadline(_behind(app, before, setting), route.timeout_s)
    app = CorrelationId(app, route.options("correlation-id", CorrelationIdOptions()))
    return Edge(app, route.name, parts.observer, logs=_logs(route, parts.logs_requests))


def _logs(route: Route, requests: LoggedRequests) -> bool:
    return requests == "all" or (requests == "known" and not _IDENTIFYING.isdisjoint(route.plugins))


def _behind(app: ASGIApp, names: Sequence[str], setting: Setting) -> ASGIApp:
    for name in reversed(names):
        app = MAKERS[name](app, setting.route.plugins[name], setting)
    return app


def _takes_body(operations: Sequence[Operation]) -> TakesBody:
    found = Operations(operations)

    def takes(scope: Scope) -> bool:
        if not found.all:
            return scope["method"] not in _BODILESS
        matched = found.find(scope["method"], context_of(scope).path)
        return isinstance(matched, Matched) and matched.operation.body is not None

    return takes
