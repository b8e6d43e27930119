"""The Serve application of operating, for the composition root. The only place here that knows Ray."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from ray import serve
from ray.serve import Application

from config.settings import AdminSettings
from config.topology import Topology
from services.ops.audit import Audit, Shards
from services.ops.deployment import MailboxAdmin
from services.ops.routes import OpsApp
from services.ops.service import MailboxOperations, Operator
from services.ops.tracing import Tracer
from telemetry.log import configure_logging

ADMIN_APP, ADMIN_PREFIX = "mailbox-admin", "/api/v1/mailboxes"


def admin_application(
    settings: AdminSettings,
    topology: Topology,
    *,
    operator: Callable[[], Operator],
    shards: Callable[[], Shards],
    doubtful: Mapping[str, tuple[str, ...]],
    log_level: str = "INFO",
) -> Application:
    """The admin API, to be run under ``ADMIN_APP`` and ``ADMIN_PREFIX``.

    Args:
        settings: with the admin token.
        topology: of the mailboxes.
        operator: makes the operators' handle, in the replica.
        shards: makes a handle, in the replica.
        doubtful: see ``MailboxOperations``.
        log_level: of the replica.
    """

    def build() -> OpsApp:
        configure_logging(log_level, sys.__stderr__)
        handle = shards()
        operations = MailboxOperations(operator(), Audit(handle), doubtful)
        return OpsApp(operations, Tracer(handle, topology), settings.token.get_secret_value().encode())

    deployment: Any = serve.deployment(
        serve.ingress()(MailboxAdmin),
        name=MailboxAdmin.__name__,
        num_replicas=1,
        max_ongoing_requests=32,
        max_queued_requests=64,
        ray_actor_options={"num_cpus": 0},
        graceful_shutdown_timeout_s=5.0,
    )
    application: Application = deployment.bind(build)
    return application
