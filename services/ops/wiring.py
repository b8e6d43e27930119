"""The Serve application of operating, for the composition root. The only place here that knows Ray."""

import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp

from actors.shards.unit import UnitRunner
from config.settings import AdminSettings
from config.topology import Topology
from services.admin.actions import Actions
from services.ops.audit import Audit
from services.ops.deployment import Ops
from services.ops.front import FrontApp
from services.ops.readiness import Readiness
from services.ops.routes import OpsApp
from services.ops.service import MailboxOperations, Operator
from services.ops.tracing import Tracer
from telemetry.log import configure_logging

OPS_APP, OPS_PREFIX = "ops", "/"
ADMIN_PREFIX = "/api/v1/mailboxes"
MakeApi = Callable[[UnitRunner, Actions], ASGIApp]


def ops_application(
    settings: AdminSettings,
    topology: Topology,
    *,
    operator: Callable[[], Operator],
    shards: Callable[[], UnitRunner],
    apis: Mapping[str, MakeApi],
    doubtful: Mapping[str, tuple[str, ...]],
    consumed: Collection[str],
    others: Collection[str],
    log_level: str = "INFO",
) -> Application:
    """The front and the admin API, one replica, to be run under ``OPS_APP`` and ``OPS_PREFIX``.

    Args:
        settings: with the admin token.
        topology: of the mailboxes.
        operator: makes the operators' handle, in the replica.
        shards: makes a handle, in the replica.
        apis: by prefix, what makes another admin API, in the replica, over that handle and the record of actions.
        doubtful: see ``MailboxOperations``.
        consumed: the queues that have a consumer.
        others: the route prefixes of the other applications.
        log_level: of the replica.
    """

    def build() -> FrontApp:
        configure_logging(log_level, sys.__stderr__)
        handle, mailboxes = shards(), operator()
        audit = Audit(handle)
        operations = MailboxOperations(mailboxes, audit, doubtful)
        admin = OpsApp(operations, Tracer(handle, topology), settings.token.get_secret_value().encode())
        served: dict[str, ASGIApp] = {
            ADMIN_PREFIX: admin,
            **{prefix: make(handle, audit) for prefix, make in apis.items()},
        }
        return FrontApp(served, Readiness(mailboxes.statistics, handle, consumed), others)

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
