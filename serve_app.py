"""The composition root: from settings to actors and Serve applications.

``spaza up`` has it prepare the databases, start the actors and deploy the applications. On a Ray cluster that others
run, ``serve run serve_app:app`` does the same from the settings in the environment.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import ray
from ray import serve
from ray.serve import Application
from ray.serve.config import HTTPOptions
from ray.serve.schema import LoggingConfig

from actors.mailbox.access import JournalAccess
from actors.mailbox.handle import MailboxHandle
from actors.mailbox.relocation import apply_topology
from actors.mailbox.start import start_mailboxes
from actors.rate_limiter.handle import RateLimiterHandle
from actors.rate_limiter.start import start_rate_limiters
from actors.redeploy import release_of
from actors.shards.access import PoolLimits, ShardAccess
from actors.shards.dsn import shard_dsn
from actors.shards.handle import ShardsHandle, start_shards
from actors.shards.migration_files import MigrationFiles, Phase
from actors.shards.migration_report import MigrationReport
from actors.shards.migration_run import TenantMigrations
from actors.shards.setup import SetupReport, set_up_shards
from actors.shards.tenant_schema import TenantSchemas
from actors.shards.unit import UnitRunner
from cache.counters import RedisCounters
from config.route_rules import open_in_shadow
from config.routes import Routes
from config.routes_file import load_routes
from config.settings import Settings, load_settings
from config.topology import Topology
from config.topology_file import load_topology
from gateway.chain import Parts
from services.applications import CONSUMERS, Applications, ServeApplication
from services.catalog.service import Catalog
from services.catalog.wiring import catalog_of
from services.handles import Handles
from services.tenants.sealing import Sealer
from services.tenants.service import TenantProvisioning
from services.units import CHORES
from telemetry.log import configure_logging, get_logger

_UNITS: Final = "services.units:UNITS"
# What a unit of work may run.
_FOLDERS: Final = ("actors", "config", "gateway", "integrations", "kernel", "services", "telemetry")
_CODE: Final = tuple(Path(__file__).with_name(name) for name in _FOLDERS)
_LIMITER_FOLDERS: Final = ("actors/rate_limiter", "actors/doors", "cache", "kernel", "telemetry")
_LIMITER_CODE: Final = tuple(Path(__file__).parent / name for name in _LIMITER_FOLDERS)
# Within what the supervisor waits for a start. Tenants that are left by then are named, and migrated by the command.
_MIGRATION_LIMIT_S: Final = 90.0
# One line for each request costs more than the request; and with INFO Serve makes it before it throws it away.
_LOGGING: Final = LoggingConfig(enable_access_log=False, encoding="JSON", log_level="WARNING")


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
        self._handles = Handles(
            self.topology, self._redis_url, settings.postgres.shards_per_actor, settings.limits.limiters
        )
        self._applications = Applications(settings, self.routes, self._handles, self._dsn)

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
        start_mailboxes(self.topology, access, CONSUMERS, log_level=self.settings.log.level)

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
    def consumed(self) -> frozenset[str]:
        """The queues that a part of Spaza consumes; the others wait for theirs."""
        return frozenset(CONSUMERS)

    def shards(self) -> ShardsHandle:
        """A handle of the shards, for this process."""
        return self._handles.shards()

    def mailbox(self) -> MailboxHandle:
        """A handle of the mailboxes, for this process."""
        return self._handles.mailbox()

    def rate_limiters(self) -> RateLimiterHandle:
        """A handle of the rate limiters, for this process."""
        return self._handles.rate_limiters()

    def applications(self) -> list[ServeApplication]:
        """The Serve applications, to be run together."""
        return self._applications.all()

    def gateway_parts(self) -> Callable[[UnitRunner], Parts]:
        """Makes what the plugins stand on, in the process that serves a route, over its handle of the shards."""
        return self._applications.gateway_parts()

    def catalog(self) -> Catalog:
        """The catalogue's use cases, for this process."""
        return catalog_of(self.shards())

    def provisioning(self) -> TenantProvisioning:
        """The making of tenants, for this process; it has the owner's DSN."""
        shards = self.shards()
        directory = self._handles.directory(shards, self._handles.redis())
        return TenantProvisioning(shards, TenantSchemas(self._dsn), Sealer(self._key, *self._other_keys), directory)


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
