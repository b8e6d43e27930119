"""The Serve application of the notifier, for the composition root. The only place here that knows Ray."""

import random
import sys
from collections.abc import Callable
from typing import Any

from ray import serve
from ray.serve import Application

from actors.shards.unit import UnitRunner
from cache.connection import RedisConnection
from cache.marks import Marks
from config.settings import SecretsSettings, WhatsAppSettings
from integrations.whatsapp.client import GraphClient
from kernel.garbage import spare_what_stays
from services.notifications.deployment import BuiltNotifier, Notifier
from services.notifications.dispatch import Dispatcher
from services.notifications.inflow import Inflow, Probe
from services.notifications.metrics import NotifierMetrics
from services.notifications.records import Records
from services.notifications.retry import RetryPolicy
from services.notifications.service import NotificationService
from services.tenants.ports import Tenants
from services.tenants.sealing import Sealer
from telemetry.log import configure_logging

NOTIFIER_APP = "notifications"
NOTIFIER_DEPLOYMENT = Notifier.__name__


def notifier_application(
    settings: WhatsAppSettings,
    secrets: SecretsSettings,
    redis_url: str,
    *,
    shards: Callable[[], UnitRunner],
    tenants: Callable[[UnitRunner, RedisConnection], Tenants],
    statuses: Callable[[], Probe],
    max_retries: int | None,
    replicas: int = 1,
    log_level: str = "INFO",
) -> Application:
    """The notifier, to be run under ``NOTIFIER_APP`` without a route.

    Args:
        settings: with the address of the Graph API.
        secrets: with the key under which access tokens are sealed.
        redis_url: for the marks.
        shards: makes a handle, in the replica.
        tenants: makes a directory over that handle and that Redis.
        statuses: makes, in the replica, who asks whether statuses come in.
        max_retries: of its queue.
        replicas: that share the batches.
        log_level: of the replicas.
    """

    def build() -> BuiltNotifier:
        configure_logging(log_level, sys.__stderr__)
        redis = RedisConnection(redis_url)
        handle = shards()
        graph = GraphClient(settings.graph_url, settings.graph_version)

        async def aclose() -> None:
            await graph.aclose()
            await redis.aclose()

        service = NotificationService(
            tenants=tenants(handle, redis),
            unsealer=Sealer(*(key.get_secret_value() for key in (secrets.key, *secrets.other_keys))),
            marks=Marks(redis),
            records=Records(handle),
            inflow=Inflow(statuses()),
            dispatcher=Dispatcher(graph, random.random, retry=RetryPolicy(max_retries=max_retries or 0)),
            observer=NotifierMetrics(),
        )
        spare_what_stays()
        return BuiltNotifier(service, aclose)

    deployment: Any = serve.deployment(
        Notifier,
        name=NOTIFIER_DEPLOYMENT,
        num_replicas=replicas,
        # A batch of a shard waits for Meta, not for the CPU.
        max_ongoing_requests=128,
        ray_actor_options={"num_cpus": 0},
        graceful_shutdown_timeout_s=10.0,
    )
    application: Application = deployment.bind(build)
    return application
