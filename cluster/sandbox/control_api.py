"""The sandbox's own API, for people and tests: numbers, knobs, inbound messages, outbox, clock."""

import asyncio
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from cluster.sandbox.control_errors import ControlError, invalid_request
from cluster.sandbox.inbound import InboundRequest
from cluster.sandbox.outbox import rfc3339
from cluster.sandbox.parts import Parts
from cluster.sandbox.phone_numbers import PhoneNumber, write_numbers
from cluster.sandbox.validation import digits_of
from cluster.sandbox.writing import write_as_customer

Model = TypeVar("Model", bound=BaseModel)


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _OutboxQuery(_Query):
    phone_number_id: str | None = None
    to: str | None = None
    after: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class _Advance(_Query):
    seconds: Annotated[float, Field(ge=0, le=365 * 86_400)]


class _Verify(_Query):
    verify_token: str | None = None


class ControlApi:
    """The handlers, over the parts of one sandbox."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._keeping = asyncio.Lock()

    def routes(self) -> list[Route]:
        """All routes but the Graph API's."""
        return [
            Route("/healthz", self.health, methods=["GET"]),
            Route("/sandbox/outbox", self.read_outbox, methods=["GET"]),
            Route("/sandbox/outbox", self.clear_outbox, methods=["DELETE"]),
            Route("/sandbox/inbound", self.write_inbound, methods=["POST"]),
            Route("/sandbox/numbers", self.read_numbers, methods=["GET"]),
            Route("/sandbox/numbers", self.register_number, methods=["POST"]),
            Route("/sandbox/knobs", self.read_knobs, methods=["GET"]),
            Route("/sandbox/knobs", self.turn_knobs, methods=["PUT"]),
            Route("/sandbox/knobs", self.reset_knobs, methods=["DELETE"]),
            Route("/sandbox/clock/advance", self.advance_clock, methods=["POST"]),
            Route("/sandbox/verify-callback", self.verify_callback, methods=["POST"]),
        ]

    async def health(self, _request: Request) -> Response:
        parts = self._parts
        return _json(
            {
                "status": "ok",
                "callback_url": parts.config.callback_url,
                "now": rfc3339(parts.clock.now()),
                "messages": parts.desk.statistics(),
                "statuses": parts.reporter.statistics(),
                "webhooks": parts.sender.statistics(),
                "outbox": len(parts.outbox),
            }
        )

    async def read_outbox(self, request: Request) -> Response:
        query = _read(_OutboxQuery, dict(request.query_params))
        to = query.to if query.to is None else digits_of(query.to) or query.to
        found, following = self._parts.outbox.page(
            phone_number_id=query.phone_number_id, to=to, after=query.after, limit=query.limit
        )
        return _json({"messages": [sent.shown() for sent in found], "next": following})

    async def clear_outbox(self, _request: Request) -> Response:
        return _json({"removed": self._parts.outbox.clear()})

    async def write_inbound(self, request: Request) -> Response:
        shown = await write_as_customer(self._parts, await self._body(InboundRequest, request))
        return _json({**shown[0], "messages": shown})

    async def read_numbers(self, _request: Request) -> Response:
        numbers = [number.model_dump(exclude={"access_token"}) for number in self._parts.numbers.all()]
        return _json({"numbers": numbers})

    async def register_number(self, request: Request) -> Response:
        number = await self._body(PhoneNumber, request)
        parts = self._parts
        if not parts.numbers.register(number):
            raise ControlError(f"there are {parts.config.bounds.numbers} numbers already", status=409)
        if parts.config.data_dir is not None:
            async with self._keeping:
                await asyncio.to_thread(write_numbers, parts.config.data_dir, parts.numbers.all())
        return _json(number.model_dump(exclude={"access_token"}), status=201)

    async def read_knobs(self, _request: Request) -> Response:
        return _json(self._parts.panel.knobs.model_dump(mode="json"))

    async def turn_knobs(self, request: Request) -> Response:
        changes = _object(await self._raw(request))
        try:
            self._parts.panel.knobs = self._parts.panel.knobs.turned(changes)
        except ValidationError as error:
            raise invalid_request(error) from None
        self._parts.sender.look_again()
        return await self.read_knobs(request)

    async def reset_knobs(self, request: Request) -> Response:
        self._parts.panel.knobs = self._parts.config.knobs
        self._parts.sender.look_again()
        return await self.read_knobs(request)

    async def advance_clock(self, request: Request) -> Response:
        advance = await self._body(_Advance, request)
        self._parts.clock.advance(advance.seconds)
        return _json({"now": rfc3339(self._parts.clock.now())})

    async def verify_callback(self, request: Request) -> Response:
        asked = await self._body(_Verify, request)
        handshake = await self._parts.sender.verify(asked.verify_token)
        return _json(handshake._asdict())

    async def _raw(self, request: Request) -> bytes:
        limit, body = self._parts.config.bounds.body_bytes, b""
        try:
            async for part in request.stream():
                body += part
                if len(body) > limit:
                    raise ControlError(f"the body is larger than {limit} bytes", status=413)
        except ClientDisconnect:
            raise ControlError("the body did not come whole") from None
        return body

    async def _body(self, model: type[Model], request: Request) -> Model:
        return _read(model, _object(await self._raw(request)))


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError as error:
        raise ControlError(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ControlError("the body must be a JSON object")
    return value


def _read(model: type[Model], values: dict[str, Any]) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid_request(error) from None


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
