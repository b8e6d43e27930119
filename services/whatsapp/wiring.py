"""Serve applications of the WhatsApp services, for the composition root. The only place here that knows Ray."""

import sys
from collections.abc import Callable
from typing import Any

from ray import serve
from ray.serve import Application

from cache.claims import Claims
from cache.connection import RedisConnection
from config.routes import Route
from config.settings import WhatsAppSettings
from gateway.asgi import ASGIApp
from gateway.chain import Parts, chained
from gateway.needs import Given, demand
from kernel.garbage import spare_what_stays
from services.tenants.ports import Tenants
from services.whatsapp.deployment import BuiltProcessor, WhatsAppProcessor, WhatsAppWebhook
from services.whatsapp.message_limits import MessageLimits
from services.whatsapp.metrics import ProcessorMetrics, WebhookMetrics
from services.whatsapp.ports import Publisher, Shards, Teller
from services.whatsapp.processor import InboundProcessor
from services.whatsapp.routes import WebhookApp
from telemetry.log import configure_logging

WEBHOOK_APP = "whatsapp-webhook"
WHATSAPP_SERVICE = "whatsapp-service"
PROCESSOR_APP = "whatsapp-processor"
WEBHOOK_DEPLOYMENT = WhatsAppWebhook.__name__
PROCESSOR_DEPLOYMENT = WhatsAppProcessor.__name__


def webhook_application(
    settings: WhatsAppSettings,
    route: Route,
    mailbox: Callable[[], Publisher],
    *,
    parts: Callable[[], Parts],
    limits: Callable[[], MessageLimits | None],
    replicas: int = 1,
    log_level: str = "INFO",
) -> Application:
    """The webhook, to be run under ``WEBHOOK_APP`` and the route's path.

    Args:
        settings: with the app secrets and the verify token.
        route: with its plugins.
        mailbox: makes a handle, in the replica.
        parts: makes what the plugins stand on, in the replica.
        limits: makes what decides about messages over a limit, in the replica.
        replicas: that share the port.
        log_level: of the replicas.

    Raises:
        UnbuiltChainError: a plugin of the route lacks what it stands on.
    """
    demand(route, Given(counts_messages=True, app_secrets=True))

    def build() -> ASGIApp:
        configure_logging(log_level, sys.__stderr__)
        token = settings.verify_token.get_secret_value().encode()
        app = WebhookApp(mailbox(), token, WebhookMetrics(), limits=limits())
        chain = chained(app, route, parts()._replace(app_secrets=settings.app_secrets))
        spare_what_stays()
        return chain

    deployment: Any = serve.deployment(
        serve.ingress()(WhatsAppWebhook),
        name=WEBHOOK_DEPLOYMENT,
        num_replicas=replicas,
        # Requests wait for the journal, not for the CPU; more than these would wait in memory.
        max_ongoing_requests=512,
        max_queued_requests=1024,
        ray_actor_options={"num_cpus": 0},
        graceful_shutdown_timeout_s=5.0,
    )
    application: Application = deployment.bind(build)
    return application


def processor_application(
    redis_url: str,
    *,
    shards: Callable[[], Shards],
    tenants: Callable[[Shards, RedisConnection], Tenants],
    mailbox: Callable[[], Teller],
    replicas: int = 1,
    log_level: str = "INFO",
) -> Application:
    """The processor, to be run under ``PROCESSOR_APP`` without a route.

    Args:
        redis_url: for the claims.
        shards: makes a handle, in the replica.
        tenants: makes a directory over that handle and that Redis.
        mailbox: makes a handle, in the replica.
        replicas: that share the batches.
        log_level: of the replicas.
    """

    def build() -> BuiltProcessor:
        configure_logging(log_level, sys.__stderr__)
        redis = RedisConnection(redis_url)
        handle = shards()
        processor = InboundProcessor(
            claims=Claims(redis),
            tenants=tenants(handle, redis),
            shards=handle,
            mailbox=mailbox(),
            observer=ProcessorMetrics(),
        )
        spare_what_stays()
        return BuiltProcessor(processor, redis.aclose)

    deployment: Any = serve.deployment(
        WhatsAppProcessor,
        name=PROCESSOR_DEPLOYMENT,
        num_replicas=replicas,
        max_ongoing_requests=16,
        ray_actor_options={"num_cpus": 0},
        graceful_shutdown_timeout_s=5.0,
    )
    application: Application = deployment.bind(build)
    return application
