"""The composition root: from settings to actors and Serve applications.

``spaza up`` calls ``prepare``, ``start_actors`` and ``applications``. On a Ray cluster that others run,
``serve run serve_app:app`` does the same from the settings in the environment.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import ray
from ray import serve
from ray.serve import Application
from ray.serve.config import HTTPOptions
from ray.serve.schema import LoggingConfig

from actors.mailbox.access import JournalAccess
from actors.mailbox.consumer import ConsumerAddress, ServeConsumer
from actors.mailbox.handle import MailboxHandle
from actors.mailbox.last_resort import ShardLastResort
from actors.mailbox.operator_handle import MailboxOperator
from actors.mailbox.relocation import apply_topology
from actors.mailbox.start import start_mailboxes
from actors.rate_limiter.decision import Limits
from actors.rate_limiter.handle import RateLimiterHandle
from actors.rate_limiter.start import start_rate_limiters
from actors.redeploy import release_of
from actors.shards.access import PoolLimits, ShardAccess
from actors.shards.dsn import shard_dsn
from actors.shards.handle import ShardsHandle, start_shards
from actors.shards.migration_files import MigrationFiles, Phase
from actors.shards.migration_report import MigrationReport
from actors.shards.migration_run import TenantMigrations
from actors.shards.sealing_key import forget_other_keys
from actors.shards.setup import SetupReport, set_up_shards
from actors.shards.tenant_move import TenantMoves
from actors.shards.tenant_schema import TenantSchemas
from actors.shards.unit import UnitRunner
from cache.connection import RedisConnection
from cache.counters import RedisCounters
from config.route_rules import open_in_shadow
from config.routes import Route, Routes
from config.routes_file import load_routes
from config.settings import Settings, load_settings
from config.topology import Topology
from config.topology_file import load_topology
from gateway.chain import Parts
from gateway.limited_routes import limited_routes
from gateway.observer import GatewayMetrics
from services.admin.actions import Actions
from services.catalog import wiring as catalog
from services.catalog.service import Catalog
from services.documented import document_of
from services.notifications import wiring as notifications
from services.notifications.inflow import Probe, flows
from services.ops import wiring as ops
from services.ops.readiness import FaultsOf
from services.tenants.announcing import RedisChangeBus
from services.tenants.directory import TenantDirectory
from services.tenants.listing import TenantListing
from services.tenants.moving import TenantMoving
from services.tenants.opened_credentials import OpenedCredentials
from services.tenants.routes import TenantsApp
from services.tenants.sealing import Sealer
from services.tenants.service import TenantProvisioning
from services.tenants.shared_cache import RedisTenantCache
from services.tenants.wiring import TENANT_SERVICE, tenants_app
from services.units import CHORES
from services.usage.routes import USAGE_SERVICE, usage_api
from services.whatsapp import wiring as whatsapp
from services.whatsapp.handle import WebhookHandle
from services.whatsapp.message_limits import MessageLimits, message_limits
from services.whatsapp.metrics import MessageLimitMetrics
from telemetry.log import configure_logging, get_logger

_UNITS: Final = "services.units:UNITS"
# What a unit of work may run.
_FOLDERS: Final = ("actors", "config", "gateway", "integrations", "kernel", "services", "telemetry")
_CODE: Final = tuple(Path(__file__).with_name(name) for name in _FOLDERS)
_LIMITER_FOLDERS: Final = ("actors/rate_limiter", "actors/doors", "cache", "kernel", "telemetry")
_LIMITER_CODE: Final = tuple(Path(__file__).parent / name for name in _LIMITER_FOLDERS)
# Within what the supervisor waits for a start. Tenants that are left by then are named, and migrated by the command.
_MIGRATION_LIMIT_S: Final = 90.0
# Between two looks for moves of tenants whose mover died.
_LEFT_MOVES_S: Final = 10.0
# One line for each request costs more than the request; and with INFO Serve makes it before it throws it away.
_LOGGING: Final = LoggingConfig(enable_access_log=False, encoding="JSON", log_level="WARNING")


_INBOUND: Final = "whatsapp.inbound"
_CONSUMERS: Final[Mapping[str, ConsumerAddress]] = {
    _INBOUND: ServeConsumer(whatsapp.PROCESSOR_APP, whatsapp.PROCESSOR_DEPLOYMENT),
    "notifications.whatsapp": ServeConsumer(notifications.NOTIFIER_APP, notifications.NOTIFIER_DEPLOYMENT),
}


# Dead letters that may have reached a customer: nobody knows whether Meta took them.
_DOUBTFUL: Final[Mapping[str, tuple[str, ...]]] = {"notifications.whatsapp": ("in_doubt", "delivery_limit")}


class ServeApplication(NamedTuple):
    """An application as Serve is to run it; without a route prefix it is reached by its handle alone."""

    name: str
    route_prefix: str | None
    application: Application


class Prepared(NamedTuple):
    """What had to be done to the databases, and how the migration of tenants ended where there was one."""

    setup: SetupReport
    migrations: MigrationReport | None


class Spaza:
    """Everything that is wired from one set of resolved settings. Holds no connection itself."""

    def __init__(self, settings: Settings, *, instance_id: str) -> None:
        """Take the settings apart.

        Args:
            settings: with the servers resolved.
            instance_id: of the installation, for the owners of the mailboxes.
        """
        self.settings, self.instance_id = settings, instance_id
        self.topology: Topology = load_topology()
        self.routes: Routes = load_routes()
        self._dsn = _resolved(settings.postgres.dsn, "SPAZA_POSTGRES__DSN")
        self._redis_url = _resolved(settings.redis.url, "SPAZA_REDIS__URL")
        self._key = settings.secrets.key.get_secret_value()
        self._other_keys = tuple(key.get_secret_value() for key in settings.secrets.other_keys)
        limits = PoolLimits(app_connections=settings.postgres.max_size, min_idle=settings.postgres.min_idle)
        self._access = ShardAccess.derive(self._dsn, self._key, limits)

    async def prepare(self, *, alone: bool = False) -> Prepared:
        """Make the databases ready, as their owner, and move what waits to where the topology has it now.

        Args:
            alone: nobody else's code runs on these databases, so tenants that are behind are migrated here and now.
                Otherwise ``spaza migrate`` does that, before the new code and after the old.
        """
        report = await set_up_shards(self._dsn, self._key, self._other_keys, phase=None if alone else Phase.PRE)
        await apply_topology(self.topology, partial(shard_dsn, self._dsn), self.instance_id)
        return Prepared(report, await self._migrated() if alone and report.tenants_behind else None)

    async def _migrated(self) -> MigrationReport:
        migrations = TenantMigrations(self._dsn, MigrationFiles.of())
        return await migrations.run(canaries=self.settings.migrations.canaries, time_s=_MIGRATION_LIMIT_S)

    def start_shards(self) -> None:
        """Create the ShardPool actors. Where Ray is initialised, in synchronous code."""
        start_shards(
            self._access,
            units=_UNITS,
            topology=self.topology,
            shards_per_actor=self.settings.postgres.shards_per_actor,
            log_level=self.settings.log.level,
            chores=CHORES,
            release=release_of(*_CODE),
        )

    def start_mailboxes(self) -> None:
        """Create the mailbox actors. Where Ray is initialised, in synchronous code."""
        access = JournalAccess(self._access.dsn_template, self._access.system_password, self.instance_id)
        start_mailboxes(self.topology, access, _CONSUMERS, log_level=self.settings.log.level)

    def start_rate_limiters(self) -> None:
        """Create the rate limiter actors. Where Ray is initialised, in synchronous code."""
        start_rate_limiters(
            self.settings.limits.limiters,
            partial(RedisCounters, self._redis_url),
            settings=self._redis_url,
            release=release_of(*_LIMITER_CODE),
            log_level=self.settings.log.level,
        )

    @property
    def limits(self) -> Limits:
        """Of tenants and routes that have none of their own."""
        return Limits(self.settings.limits.minute, self.settings.limits.hour)

    @property
    def consumed(self) -> frozenset[str]:
        """The queues that a part of Spaza consumes; the others wait for theirs."""
        return frozenset(_CONSUMERS)

    def shards(self) -> ShardsHandle:
        """A handle of the shards, for this process."""
        return ShardsHandle(self.settings.postgres.shards_per_actor)

    def mailbox(self) -> MailboxHandle:
        """A handle of the mailboxes, for this process."""
        return MailboxHandle(self.topology)

    def rate_limiters(self) -> RateLimiterHandle:
        """A handle of the rate limiters, for this process."""
        return RateLimiterHandle(self.settings.limits.limiters)

    def applications(self) -> list[ServeApplication]:
        """The Serve applications, to be run together."""
        # The webhook last: what it takes can be handled then.
        return [self._notifier(), self._processor(), self._front(), self._products(), self._webhook()]

    def _notifier(self) -> ServeApplication:
        settings, topology = self.settings, self.topology

        def statuses() -> Probe:
            mailboxes = MailboxHandle(topology)
            webhook = WebhookHandle(whatsapp.WEBHOOK_APP, whatsapp.WEBHOOK_DEPLOYMENT)

            async def come_in() -> bool:
                await webhook.ping()
                return flows((await mailboxes.statistics())[_INBOUND])

            return come_in

        application = notifications.notifier_application(
            settings.whatsapp,
            settings.secrets,
            self._redis_url,
            shards=self._shards_maker(),
            tenants=_directory,
            statuses=statuses,
            max_retries=topology.queues["notifications.whatsapp"].max_retries,
            log_level=settings.log.level,
        )
        return ServeApplication(notifications.NOTIFIER_APP, None, application)

    def _processor(self) -> ServeApplication:
        application = whatsapp.processor_application(
            self._redis_url,
            shards=self._shards_maker(),
            tenants=_directory,
            mailbox=self._mailbox_maker(),
            log_level=self.settings.log.level,
        )
        return ServeApplication(whatsapp.PROCESSOR_APP, None, application)

    def _webhook(self) -> ServeApplication:
        settings, redis_url, shards = self.settings, self._redis_url, self._shards_maker()
        limits, limiters = self.limits, settings.limits.limiters
        route = self._webhook_route

        def limited() -> MessageLimits | None:
            found = _directory(shards(), RedisConnection(redis_url))
            return message_limits(route, limits, RateLimiterHandle(limiters), found, MessageLimitMetrics())

        application = whatsapp.webhook_application(
            settings.whatsapp,
            route,
            self._mailbox_maker(),
            parts=lambda: Parts(GatewayMetrics(), counts_messages=True),
            limits=limited,
            replicas=settings.http.webhook_replicas,
            log_level=settings.log.level,
        )
        return ServeApplication(whatsapp.WEBHOOK_APP, route.path, application)

    def _front(self) -> ServeApplication:
        topology = self.topology
        application = ops.ops_application(
            self.settings.admin,
            topology,
            self.routes,
            operator=lambda: MailboxOperator(topology),
            shards=self._shards_maker(),
            parts=self.gateway_parts(),
            apis=[
                ops.MountedApi(self.routes.named("tenants", TENANT_SERVICE), self._tenants_api()),
                ops.MountedApi(self.routes.named("usage", USAGE_SERVICE), self._usage_api()),
            ],
            doubtful=_DOUBTFUL,
            consumed=self.consumed,
            others=(self._webhook_route.path, self._products_route.path),
            document=document_of(self.routes),
            keepers=[self._moves_keeper()],
            needed=self._needed(),
            applications=(
                notifications.NOTIFIER_APP,
                whatsapp.PROCESSOR_APP,
                catalog.PRODUCTS_APP,
                whatsapp.WEBHOOK_APP,
            ),
            log_level=self.settings.log.level,
        )
        return ServeApplication(ops.OPS_APP, "/", application)

    def _products(self) -> ServeApplication:
        route = self._products_route
        application = catalog.products_application(
            route,
            shards=self._shards_maker(),
            parts=self.gateway_parts(),
            replicas=self.settings.http.products_replicas,
            log_level=self.settings.log.level,
        )
        return ServeApplication(catalog.PRODUCTS_APP, route.path, application)

    @property
    def _webhook_route(self) -> Route:
        return self.routes.named("whatsapp", whatsapp.WHATSAPP_SERVICE)

    @property
    def _products_route(self) -> Route:
        return self.routes.named("products", catalog.CATALOG_SERVICE)

    def _shards_maker(self) -> Callable[[], ShardsHandle]:
        """Makes a handle of the shards, in the process that uses it."""
        return partial(ShardsHandle, self.settings.postgres.shards_per_actor)

    def _mailbox_maker(self) -> Callable[[], MailboxHandle]:
        """Makes a handle of the mailboxes that puts what cannot be published onto the shards."""
        topology, shards = self.topology, self._shards_maker()
        return lambda: MailboxHandle(topology, last_resort=ShardLastResort(shards()))

    def catalog(self) -> Catalog:
        """The catalogue's use cases."""
        return catalog.catalog_of(self.shards())

    def gateway_parts(self) -> Callable[[UnitRunner], Parts]:
        """Makes what the plugins stand on, in the process that serves a route, over its handle of the shards."""
        redis_url, key, others = self._redis_url, self._key, self._other_keys
        limits, limiters = self.limits, self.settings.limits.limiters

        def make(shards: UnitRunner) -> Parts:
            redis = RedisConnection(redis_url)
            directory = _directory(shards, redis)
            credentials = OpenedCredentials(directory, Sealer(key, *others))
            return Parts(GatewayMetrics(), RateLimiterHandle(limiters), limits, credentials=credentials)

        return make

    def _tenants_api(self) -> ops.MakeApi:
        """Makes the admin API of tenants in the process that serves it; that has the owner's DSN."""
        dsn, key, others, redis_url = self._dsn, self._key, self._other_keys, self._redis_url
        moves, limited = self._moves(), [route.name for route in limited_routes(self.routes, self.limits)]
        staleness_s = self.settings.postgres.listing_staleness_s

        def make(shards: UnitRunner, actions: Actions) -> TenantsApp:
            redis = RedisConnection(redis_url)
            return tenants_app(
                shards,
                actions,
                schemas=TenantSchemas(dsn),
                sealer=Sealer(key, *others),
                directory=_directory(shards, redis),
                forget_other_keys=lambda: forget_other_keys(dsn, key),
                moves=moves(),
                limited=limited,
                listing_staleness_s=staleness_s,
            )

        return make

    def _needed(self) -> Callable[[], Mapping[str, FaultsOf]]:
        """Makes what says of the limiters and of Redis what is wrong with them."""
        redis_url, limiters = self._redis_url, self.settings.limits.limiters

        def make() -> Mapping[str, FaultsOf]:
            redis, handle = RedisConnection(redis_url), RateLimiterHandle(limiters)

            async def silent_limiters() -> list[str]:
                answered = await handle.statistics()
                return [f"{number} does not answer" for number in range(limiters) if number not in answered]

            async def away() -> list[str]:
                await redis.ask(redis.client.ping, insist=True)
                return []

            return {"rate_limiters": silent_limiters, "redis": away}

        return make

    def _usage_api(self) -> ops.MakeApi:
        """Makes the API of usage in the process that serves it."""
        limited, limiters = limited_routes(self.routes, self.limits), self.settings.limits.limiters
        return lambda _shards, _actions: usage_api(RateLimiterHandle(limiters), limited)

    def _moves(self) -> Callable[[], TenantMoves]:
        """Makes what opens moves of tenants; it has the owner's DSN."""
        dsn, topology = self._dsn, self.topology
        queues = [queue.name for queue in topology.sources() if queue.partition_by == "shard"]
        return lambda: TenantMoves(dsn, queues)

    def _moves_keeper(self) -> ops.MakeKeeper:
        """Makes what ends the moves whose movers have died."""
        redis_url, moves = self._redis_url, self._moves()

        def make(shards: UnitRunner) -> Callable[[], Awaitable[None]]:
            redis = RedisConnection(redis_url)
            directory = _directory(shards, redis)
            moving = TenantMoving(shards, TenantListing(shards), moves(), directory)
            return partial(moving.look_after, _LEFT_MOVES_S)

        return make

    def provisioning(self) -> TenantProvisioning:
        """The making of tenants; needs the owner's DSN."""
        shards = self.shards()
        redis = RedisConnection(self._redis_url)
        directory = _directory(shards, redis)
        return TenantProvisioning(shards, TenantSchemas(self._dsn), Sealer(self._key, *self._other_keys), directory)


def _directory(shards: UnitRunner, redis: RedisConnection) -> TenantDirectory:
    return TenantDirectory(shards, RedisTenantCache(redis), bus=RedisChangeBus(redis))


def deploy(applications: list[ServeApplication]) -> None:
    """Run the applications and wait until all of them do. Blocks."""
    serve.run_many(
        [serve.RunTarget(one.application, one.name, one.route_prefix, _LOGGING) for one in applications],
    )


def app(arguments: Mapping[str, Any]) -> Application:
    """Build Spaza for ``serve run serve_app:app``: run everything, and return what is to be run at ``/``.

    Run again, it replaces what has changed: actors whose settings or code are others end their work first.

    Args:
        arguments: ``instance_id``, where several clusters share the databases.
    """
    settings = load_settings(os.environ)
    configure_logging(settings.log.level)
    spaza = Spaza(settings, instance_id=str(arguments.get("instance_id", "serve")))
    for warning in open_in_shadow(spaza.routes):
        get_logger("gateway").warning("route_open", reason=warning)
    _warn_of_tenants_behind(asyncio.run(spaza.prepare()).setup)
    if not ray.is_initialized():
        ray.init(namespace="serve", log_to_driver=False)
    # Before ``serve run`` does it with an address of its own; where Serve runs already, its address stays.
    serve.start(http_options=HTTPOptions(host=settings.http.host, port=settings.http.port))
    spaza.start_shards()
    spaza.start_rate_limiters()
    applications = spaza.applications()
    deploy([one for one in applications if one.route_prefix != "/"])
    spaza.start_mailboxes()
    [front] = [one.application for one in applications if one.route_prefix == "/"]
    return front


def _warn_of_tenants_behind(setup: SetupReport) -> None:
    if setup.tenants_behind:
        remedy = "run spaza migrate --phase pre before new code starts"
        get_logger("migrations").warning("tenants_behind", tenants=setup.tenants_behind, remedy=remedy)


def _resolved(value: Any, setting: str) -> str:
    if value is None:
        raise ValueError(f"{setting} is not set; spaza up sets it to the server that it starts")
    return str(value.get_secret_value())
