"""The Serve application of operating, for the composition root. The only place here that knows Ray."""

import asyncio
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp

from actors.shards.unit import UnitRunner
from config.routes import Route, Routes
from config.settings import AdminSettings
from config.topology import Topology
from gateway.api import Api
from gateway.chain import Parts, chained
from gateway.needs import Given, demand
from services.admin.actions import Actions
from services.admin.edge import WithinRequest
from services.ops.answering import Ping, Pings
from services.ops.application_health import application_faults
from services.ops.audit import Audit
from services.ops.deployment import Ops
from services.ops.front import Front, FrontApp, Keeper
from services.ops.operations import FRONT
from services.ops.pages import pages_of
from services.ops.readiness import FaultsOf, Readiness
from services.ops.routes import OpsApp
from services.ops.service import MailboxOperations, Operator
from services.ops.tracing import Tracer
from telemetry.log import configure_logging

OPS_APP: Final = "ops"
OPS_SERVICE: Final = "ops-service"
MakeApi = Callable[[UnitRunner, Actions], Api]
MakeKeeper = Callable[[UnitRunner], Keeper]


class MountedApi(NamedTuple):
    """Another admin API: its route, and what makes it, in the replica, over a handle and the record of actions."""

    route: Route
    make: MakeApi


def ops_application(
    settings: AdminSettings,
    topology: Topology,
    routes: Routes,
    *,
    operator: Callable[[], Operator],
    shards: Callable[[], UnitRunner],
    parts: Callable[[UnitRunner], Parts],
    apis: Sequence[MountedApi],
    doubtful: Mapping[str, tuple[str, ...]],
    consumed: Collection[str],
    others: Collection[str],
    document: Mapping[str, Any],
    keepers: Sequence[MakeKeeper] = (),
    needed: Callable[[], Mapping[str, FaultsOf]] = dict,
    applications: Callable[[], Mapping[str, Ping]] = dict,
    log_level: str = "INFO",
) -> Application:
    """The front and the admin API, one replica, to be run under ``OPS_APP`` and ``/``.

    Args:
        settings: with the admin token.
        topology: of the mailboxes.
        routes: of the gateway.
        operator: makes the operators' handle, in the replica.
        shards: makes a handle, in the replica.
        parts: makes what the plugins stand on, in the replica, over that handle.
        apis: are served beside that of the mailboxes.
        doubtful: see ``MailboxOperations``.
        consumed: the queues that have a consumer.
        others: the route prefixes of the other applications.
        document: in OpenAPI, of all routes.
        keepers: make what the replica looks after, over the handle of the shards.
        needed: makes what says of other parts, in the replica, what is wrong with them.
        applications: makes, in the replica, what asks each of those of Serve that are to run whether it answers.
        log_level: of the replica.

    Raises:
        UnbuiltChainError: a plugin of one of the routes lacks what it stands on.
    """
    front_route, admin_route = routes.named("front", OPS_SERVICE), routes.named("mailboxes", OPS_SERVICE)
    for one in (front_route, admin_route, *(api.route for api in apis)):
        demand(one, Given(operations=True, limiter=True, credentials=True, admin_token=True))

    def build() -> FrontApp:
        configure_logging(log_level, sys.__stderr__)
        handle, mailboxes = shards(), operator()
        audit = Audit(handle)
        operations = MailboxOperations(mailboxes, audit, doubtful)
        admin = OpsApp(operations, Tracer(WithinRequest(handle), topology))
        plugins = parts(handle)._replace(admin_token=settings.token.get_secret_value().encode())
        served: dict[str, ASGIApp] = {}
        for route, api in [(admin_route, admin), *((one.route, one.make(handle, audit)) for one in apis)]:
            served[route.path] = chained(api, route, plugins, api.operations)
        pings = applications()
        asked: dict[str, FaultsOf] = {**needed(), "applications": partial(_application_faults, pings, Pings(pings))}
        readiness = Readiness(mailboxes.statistics, handle, consumed, asked)
        front = Front(served, readiness, others, pages_of(document))
        return FrontApp(served, chained(front, front_route, plugins, FRONT), [make(handle) for make in keepers])

    deployment: Any = serve.deployment(
        serve.ingress()(Ops),
        name=Ops.__name__,
        num_replicas=1,
        max_ongoing_requests=32,
        max_queued_requests=64,
        ray_actor_options={"num_cpus": 0},
        graceful_shutdown_timeout_s=5.0,
    )
    application: Application = deployment.bind(build)
    return application


async def _application_faults(wanted: Collection[str], pings: Pings) -> list[str]:
    # Serve's controller is asked in a thread, for that blocks.
    status, silent = await asyncio.gather(asyncio.to_thread(serve.status), pings.silent(), return_exceptions=True)
    if isinstance(silent, BaseException):
        raise silent
    if isinstance(status, BaseException):  # the controller may be gone in many ways; that is the answer
        return [f"Serve does not answer: {type(status).__name__}"]
    return application_faults(status.applications, wanted, silent)
