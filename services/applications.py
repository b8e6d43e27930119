"""The Serve applications, from settings. Like ``units``, it knows all services.

Nothing is opened here: each application is given what makes, in its replicas, what they stand on. The DSN of the
databases' owner and the sealing keys go to those alone that need them.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

from ray.serve import Application

from actors.mailbox.consumer import ConsumerAddress, ServeConsumer
from actors.rate_limiter.decision import Limits
from actors.shards.sealing_key import forget_other_keys
from actors.shards.tenant_move import TenantMoves
from actors.shards.tenant_schema import TenantSchemas
from actors.shards.unit import UnitRunner
from cache.counters import RedisTaking
from config.routes import Route, Routes
from config.settings import Settings
from gateway.chain import Parts
from gateway.counted_aside import CountedAside
from gateway.limited_routes import limited_routes
from gateway.observer import GatewayMetrics
from services.admin.actions import Actions
from services.catalog import wiring as catalog
from services.documented import document_of
from services.handles import Handles
from services.notifications import wiring as notifications
from services.notifications.inflow import Probe, flows
from services.ops import wiring as ops
from services.ops.answering import Ping
from services.ops.handle import ReplicaHandle
from services.ops.readiness import FaultsOf
from services.tenants.listing import TenantListing
from services.tenants.moving import TenantMoving
from services.tenants.opened_credentials import OpenedCredentials
from services.tenants.routes import TenantsApp
from services.tenants.sealing import Sealer
from services.tenants.wiring import TENANT_SERVICE, tenants_app
from services.usage.routes import USAGE_SERVICE, usage_api
from services.whatsapp import wiring as whatsapp
from services.whatsapp.message_limits import MessageLimits, message_limits
from services.whatsapp.metrics import MessageLimitMetrics

_INBOUND: Final = "whatsapp.inbound"
# By queue, what consumes it; the other queues wait for theirs.
CONSUMERS: Final[Mapping[str, ConsumerAddress]] = {
    _INBOUND: ServeConsumer(whatsapp.PROCESSOR_APP, whatsapp.PROCESSOR_DEPLOYMENT),
    "notifications.whatsapp": ServeConsumer(notifications.NOTIFIER_APP, notifications.NOTIFIER_DEPLOYMENT),
}
# Dead letters that may have reached a customer: nobody knows whether Meta took them.
_DOUBTFUL: Final[Mapping[str, tuple[str, ...]]] = {"notifications.whatsapp": ("in_doubt", "delivery_limit")}
# By application, what of it answers.
_ANSWERS: Final[Mapping[str, str]] = {
    notifications.NOTIFIER_APP: notifications.NOTIFIER_DEPLOYMENT,
    whatsapp.PROCESSOR_APP: whatsapp.PROCESSOR_DEPLOYMENT,
    catalog.PRODUCTS_APP: catalog.PRODUCTS_DEPLOYMENT,
    whatsapp.WEBHOOK_APP: whatsapp.WEBHOOK_DEPLOYMENT,
}
# Between two looks for moves of tenants whose mover died.
_LEFT_MOVES_S: Final = 10.0


class ServeApplication(NamedTuple):
    """An application as Serve is to run it; without a route prefix it is reached by its handle alone."""

    name: str
    route_prefix: str | None
    application: Application


class Applications:
    """All that Serve runs of one instance."""

    def __init__(self, settings: Settings, routes: Routes, handles: Handles, owner_dsn: str) -> None:
        """Take what it needs.

        Args:
            settings: with the servers resolved.
            routes: as they are declared.
            handles: make what reaches the actors and Redis.
            owner_dsn: of the databases' owner.
        """
        self._settings, self._routes, self._handles, self._owner_dsn = settings, routes, handles, owner_dsn
        self._keys = tuple(key.get_secret_value() for key in (settings.secrets.key, *settings.secrets.other_keys))
        # Of tenants and routes that have none of their own.
        self._limits = Limits(settings.limits.minute, settings.limits.hour)
        self._log_level, self._logs_requests = settings.log.level, settings.log.requests

    def all(self) -> list[ServeApplication]:
        """The applications, to be run together."""
        # The webhook last: what it takes can be handled then.
        return [self._notifier(), self._processor(), self._front(), self._products(), self._webhook()]

    def gateway_parts(self) -> Callable[[UnitRunner], Parts]:
        """Makes what the plugins stand on, in the process that serves a route, over its handle of the shards."""
        handles, keys, limits, logs_requests = self._handles, self._keys, self._limits, self._logs_requests

        def make(shards: UnitRunner) -> Parts:
            credentials = OpenedCredentials(handles.directory(shards, handles.redis()), Sealer(*keys))
            aside = CountedAside(RedisTaking(handles.redis_url))
            limiters = handles.rate_limiters()
            return Parts(
                GatewayMetrics(), limiters, limits, aside, credentials=credentials, logs_requests=logs_requests
            )

        return make

    def _notifier(self) -> ServeApplication:
        handles = self._handles

        def statuses() -> Probe:
            mailboxes = handles.mailbox()
            webhook = ReplicaHandle(whatsapp.WEBHOOK_APP, whatsapp.WEBHOOK_DEPLOYMENT)

            async def come_in() -> bool:
                await webhook.ping()
                return flows((await mailboxes.statistics())[_INBOUND])

            return come_in

        application = notifications.notifier_application(
            self._settings.whatsapp,
            self._settings.secrets,
            handles.redis_url,
            shards=handles.shards,
            tenants=handles.directory,
            statuses=statuses,
            max_retries=handles.topology.queues["notifications.whatsapp"].max_retries,
            log_level=self._log_level,
        )
        return ServeApplication(notifications.NOTIFIER_APP, None, application)

    def _processor(self) -> ServeApplication:
        handles = self._handles
        application = whatsapp.processor_application(
            handles.redis_url,
            shards=handles.shards,
            tenants=handles.directory,
            mailbox=handles.lasting_mailbox,
            log_level=self._log_level,
        )
        return ServeApplication(whatsapp.PROCESSOR_APP, None, application)

    def _webhook(self) -> ServeApplication:
        handles, limits, route = self._handles, self._limits, self._webhook_route
        logs_requests = self._logs_requests

        def limited() -> MessageLimits | None:
            directory = handles.directory(handles.shards(), handles.redis())
            aside = CountedAside(RedisTaking(handles.redis_url))
            return message_limits(route, limits, handles.rate_limiters(), directory, MessageLimitMetrics(), aside=aside)

        application = whatsapp.webhook_application(
            self._settings.whatsapp,
            route,
            handles.lasting_mailbox,
            parts=lambda: Parts(GatewayMetrics(), counts_messages=True, logs_requests=logs_requests),
            limits=limited,
            replicas=self._settings.http.webhook_replicas,
            log_level=self._log_level,
        )
        return ServeApplication(whatsapp.WEBHOOK_APP, route.path, application)

    def _products(self) -> ServeApplication:
        route = self._products_route
        application = catalog.products_application(
            route,
            shards=self._handles.shards,
            parts=self.gateway_parts(),
            replicas=self._settings.http.products_replicas,
            log_level=self._log_level,
        )
        return ServeApplication(catalog.PRODUCTS_APP, route.path, application)

    def _front(self) -> ServeApplication:
        handles = self._handles
        application = ops.ops_application(
            self._settings.admin,
            handles.topology,
            self._routes,
            operator=handles.operator,
            shards=handles.shards,
            parts=self.gateway_parts(),
            apis=[
                ops.MountedApi(self._routes.named("tenants", TENANT_SERVICE), self._tenants_api()),
                ops.MountedApi(self._routes.named("usage", USAGE_SERVICE), self._usage_api()),
            ],
            doubtful=_DOUBTFUL,
            consumed=frozenset(CONSUMERS),
            others=(self._webhook_route.path, self._products_route.path),
            document=document_of(self._routes),
            keepers=[self._moves_keeper()],
            needed=self._needed(),
            applications=_pings,
            log_level=self._log_level,
        )
        return ServeApplication(ops.OPS_APP, "/", application)

    @property
    def _webhook_route(self) -> Route:
        return self._routes.named("whatsapp", whatsapp.WHATSAPP_SERVICE)

    @property
    def _products_route(self) -> Route:
        return self._routes.named("products", catalog.CATALOG_SERVICE)

    def _tenants_api(self) -> ops.MakeApi:
        """Makes the admin API of tenants in the process that serves it; that has the owner's DSN."""
        handles, dsn, keys, moves = self._handles, self._owner_dsn, self._keys, self._moves()
        limited = [route.name for route in limited_routes(self._routes, self._limits)]
        staleness_s = self._settings.postgres.listing_staleness_s

        def make(shards: UnitRunner, actions: Actions) -> TenantsApp:
            return tenants_app(
                shards,
                actions,
                schemas=TenantSchemas(dsn),
                sealer=Sealer(*keys),
                directory=handles.directory(shards, handles.redis()),
                forget_other_keys=partial(forget_other_keys, dsn, keys[0]),
                moves=moves(),
                limited=limited,
                listing_staleness_s=staleness_s,
            )

        return make

    def _usage_api(self) -> ops.MakeApi:
        """Makes the API of usage in the process that serves it."""
        handles, limited = self._handles, limited_routes(self._routes, self._limits)
        return lambda _shards, _actions: usage_api(handles.rate_limiters(), limited)

    def _needed(self) -> Callable[[], Mapping[str, FaultsOf]]:
        """Makes what says of the limiters and of Redis what is wrong with them."""
        handles = self._handles

        def make() -> Mapping[str, FaultsOf]:
            redis, limiters = handles.redis(), handles.rate_limiters()

            async def silent_limiters() -> list[str]:
                answered = await limiters.statistics()
                return [f"{number} does not answer" for number in range(handles.limiters) if number not in answered]

            async def away() -> list[str]:
                await redis.ask(redis.client.ping, insist=True)
                return []

            return {"rate_limiters": silent_limiters, "redis": away}

        return make

    def _moves(self) -> Callable[[], TenantMoves]:
        """Makes what opens moves of tenants; it has the owner's DSN."""
        queues = [queue.name for queue in self._handles.topology.sources() if queue.partition_by == "shard"]
        return partial(TenantMoves, self._owner_dsn, queues)

    def _moves_keeper(self) -> ops.MakeKeeper:
        """Makes what ends the moves whose movers have died."""
        handles, moves = self._handles, self._moves()

        def make(shards: UnitRunner) -> Callable[[], Awaitable[None]]:
            directory = handles.directory(shards, handles.redis())
            moving = TenantMoving(shards, TenantListing(shards), moves(), directory)
            return partial(moving.look_after, _LEFT_MOVES_S)

        return make


def _pings() -> Mapping[str, Ping]:
    """Make, in the process that asks, what asks each application."""
    return {app: ReplicaHandle(app, deployment).ping for app, deployment in _ANSWERS.items()}
