"""The Serve application of operating, for the composition root. The only place here that knows Ray."""

import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ray import serve
from ray.serve import Application

from config.settings import AdminSettings
from config.topology import Topology
from services.ops.audit import Audit, Shards
from services.ops.deployment import Ops
from services.ops.front import FrontApp
from services.ops.readiness import Readiness
from services.ops.routes import OpsApp
from services.ops.service import MailboxOperations, Operator
from services.ops.tracing import Tracer
from telemetry.log import configure_logging

OPS_APP, OPS_PREFIX = "ops", "/"
ADMIN_PREFIX = "/api/v1/mailboxes"


def ops_application(
    settings: AdminSettings,
    topology: Topology,
    *,
    operator: Callable[[], Operator],
    shards: Callable[[], Shards],
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
        doubtful: see ``MailboxOperations``.
        consumed: the queues that have a consumer.
        others: the route prefixes of the other applications.
        log_level: of the replica.
    """

    def build() -> FrontApp:
        configure_logging(log_level, sys.__stderr__)
        handle, mailboxes = shards(), operator()
        operations = MailboxOperations(mailboxes, Audit(handle), doubtful)
        admin = OpsApp(operations, Tracer(handle, topology), settings.token.get_secret_value().encode())
        return FrontApp(admin, ADMIN_PREFIX, Readiness(mailboxes.statistics, handle, consumed), others)

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
