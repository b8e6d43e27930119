"""Puts a route's plugins in front of its application: in Kong's order, whatever order the file has, once."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from config.plugins import (
    CorrelationIdOptions,
    CorsOptions,
    HmacAuthOptions,
    IpRestrictionOptions,
    JwtAuthOptions,
    PolicyOptions,
    RequestSizeLimitingOptions,
    RequestTransformerOptions,
    RequestValidatorOptions,
    ResponseTransformerOptions,
)
from config.routes import Route
from gateway.asgi import ASGIApp
from gateway.credentials import Credentials
from gateway.deadline import Deadline
from gateway.edge import Edge
from gateway.errors import UnbuiltChainError
from gateway.limiter import Limiter
from gateway.observer import GatewayObserver
from gateway.operations import Operation, Operations
from gateway.plugins.correlation_id import CorrelationId
from gateway.plugins.cors import Cors
from gateway.plugins.hmac_auth import HmacAuth
from gateway.plugins.ip_restriction import IpRestriction
from gateway.plugins.jwt_auth import JwtAuth
from gateway.plugins.request_size_limiting import RequestSizeLimiting
from gateway.plugins.request_transformer import RequestTransformer
from gateway.plugins.request_validator import RequestValidator
from gateway.plugins.response_transformer import ResponseTransformer
from gateway.policy import Policy


class Parts(NamedTuple):
    """What plugins stand on, in one process.

    Attributes:
        observer: watches.
        limiter: for rate-limiting.
        credentials: for jwt-auth.
        app_secrets: for hmac-auth.
    """

    observer: GatewayObserver
    limiter: Limiter | None = None
    credentials: Credentials | None = None
    app_secrets: tuple[bytes, ...] = ()

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

    def needs(self, plugin: str, missing: str) -> UnbuiltChainError:
        """What is raised when a part that a plugin stands on was not given."""
        return UnbuiltChainError(self.route.name, plugin, missing)


Maker = Callable[[ASGIApp, Any, Setting], ASGIApp]


def _cors(app: ASGIApp, options: CorsOptions, _setting: Setting) -> ASGIApp:
    return Cors(app, options)


def _ip_restriction(app: ASGIApp, options: IpRestrictionOptions, setting: Setting) -> ASGIApp:
    return IpRestriction(app, options, setting.policy("ip-restriction", options))


def _jwt_auth(app: ASGIApp, options: JwtAuthOptions, setting: Setting) -> ASGIApp:
    if setting.parts.credentials is None:
        raise setting.needs("jwt-auth", "credentials")
    return JwtAuth(app, options, setting.policy("jwt-auth", options), setting.parts.credentials)


def _request_validator(app: ASGIApp, options: RequestValidatorOptions, setting: Setting) -> ASGIApp:
    if not setting.operations:
        raise setting.needs("request-validator", "operations")
    policy = setting.policy("request-validator", options)
    return RequestValidator(app, options, policy, Operations(setting.operations))


def _hmac_auth(app: ASGIApp, options: HmacAuthOptions, setting: Setting) -> ASGIApp:
    if not setting.parts.app_secrets:
        raise setting.needs("hmac-auth", "app secrets")
    return HmacAuth(app, options, setting.policy("hmac-auth", options), setting.parts.app_secrets)


def _request_transformer(app: ASGIApp, options: RequestTransformerOptions, setting: Setting) -> ASGIApp:
    return RequestTransformer(app, options, Operations(setting.operations))


def _response_transformer(app: ASGIApp, options: ResponseTransformerOptions, _setting: Setting) -> ASGIApp:
    return ResponseTransformer(app, options)


# By name, what makes a plugin. What is not here yet cannot be put in front of anything.
MAKERS: Final[Mapping[str, Maker]] = {
    "cors": _cors,
    "jwt-auth": _jwt_auth,
    "hmac-auth": _hmac_auth,
    "request-validator": _request_validator,
    "ip-restriction": _ip_restriction,
    "request-transformer": _request_transformer,
    "response-transformer": _response_transformer,
}
# In front of every route, whether it names them or not.
_AROUND: Final = frozenset({"correlation-id", "request-size-limiting"})


def chained(app: ASGIApp, route: Route, parts: Parts, operations: tuple[Operation, ...] = ()) -> ASGIApp:
    """The application behind the route's plugins.

    Args:
        app: serves what gets through.
        route: with its plugins, in Kong's order.
        parts: of this process.
        operations: what the route can be asked.

    Raises:
        UnbuiltChainError: a plugin lacks what it stands on; better not served than served without it.
    """
    setting = Setting(route, parts, operations)
    size = route.options("request-size-limiting", RequestSizeLimitingOptions())
    for name in reversed([name for name in route.plugins if name not in _AROUND]):
        if name not in MAKERS:
            raise setting.needs(name, "a maker")
        app = MAKERS[name](app, route.plugins[name], setting)
    # The id first, so that whatever is refused has one; the body next, before anybody looks at it.
    app = Deadline(app, route.timeout_s)
    app = RequestSizeLimiting(app, size, setting.policy("request-size-limiting", size))
    app = CorrelationId(app, route.options("correlation-id", CorrelationIdOptions()))
    return Edge(app, route.name, parts.observer)
