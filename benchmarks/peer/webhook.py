"""The peer's webhook: FastAPI, one publish for each message, and 200 only after the quorum queue has confirmed it."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated

import aio_pika
from fastapi import FastAPI, Header, HTTPException, Query, Request
from fastapi.responses import PlainTextResponse
from pydantic import ValidationError

from benchmarks.peer.environment import WEBHOOK_PATH, PeerEnvironment, read_environment
from benchmarks.peer.schemas import Envelope, QueuedMessage
from benchmarks.peer.topology import EXCHANGE, ROUTING_KEY, declare

_PUBLISH_TIMEOUT_S = 5.0


def create_app() -> FastAPI:
    """The application that uvicorn runs, configured by the environment."""
    environment = read_environment()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        connection = await aio_pika.connect_robust(environment.amqp_url)
        async with connection:
            channel = await connection.channel(publisher_confirms=True)
            await declare(channel)
            app.state.exchange = await channel.get_exchange(EXCHANGE)
            yield

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    _add_routes(app, environment)
    return app


def _add_routes(app: FastAPI, environment: PeerEnvironment) -> None:
    secret = environment.app_secret.encode()

    @app.get(WEBHOOK_PATH, response_class=PlainTextResponse)
    async def verify(
        mode: Annotated[str, Query(alias="hub.mode")],
        token: Annotated[str, Query(alias="hub.verify_token")],
        challenge: Annotated[str, Query(alias="hub.challenge")],
    ) -> str:
        if mode != "subscribe" or not hmac.compare_digest(token.encode(), environment.verify_token.encode()):
            raise HTTPException(403)
        return challenge

    @app.post(WEBHOOK_PATH, response_class=PlainTextResponse)
    async def receive(request: Request, x_hub_signature_256: Annotated[str, Header()] = "") -> str:
        body = await request.body()
        expected = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), x_hub_signature_256.encode()):
            raise HTTPException(401)
        try:
            envelope = Envelope.model_validate_json(body)
        except ValidationError as error:
            raise HTTPException(400) from error
        exchange: aio_pika.abc.AbstractExchange = request.app.state.exchange
        await asyncio.gather(*(_publish(exchange, one) for one in _split(envelope)))
        return "ok"


def _split(envelope: Envelope) -> Iterator[QueuedMessage]:
    for value in (change.value for entry in envelope.entry for change in entry.changes):
        names = {contact.wa_id: contact.profile.name for contact in value.contacts if contact.profile is not None}
        for message in value.messages:
            yield QueuedMessage(
                phone_number_id=value.metadata.phone_number_id, name=names.get(message.sender), message=message
            )


async def _publish(exchange: aio_pika.abc.AbstractExchange, queued: QueuedMessage) -> None:
    message = aio_pika.Message(
        queued.model_dump_json(by_alias=True).encode(),
        message_id=queued.message.id,
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
    await exchange.publish(message, ROUTING_KEY, mandatory=True, timeout=_PUBLISH_TIMEOUT_S)
