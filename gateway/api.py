"""A JSON API behind a chain: finds the operation of a request, hands it what was asked, and answers what it returns."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from pydantic import BaseModel

from gateway.answers import JSON, NO_STORE, answer_bytes, refuse, refuse_with
from gateway.asgi import ASGIApp, Header, Receive, Scope, Send
from gateway.context import RequestContext, context_of
from gateway.errors import DisconnectedError, GatewayError
from gateway.operations import Call, Matched, Operation, Operations
from gateway.own_errors import refusal_in_words
from gateway.refusal import Refusal
from gateway.validation import validated
from kernel.errors import SpazaError


class Answer(NamedTuple):
    """What a handler answers, where it is more than a document.

    Attributes:
        status: of the answer.
        document: a model, or plain data; None for an answer without a body.
        headers: beside the usual ones.
    """

    status: int
    document: BaseModel | Mapping[str, Any] | None
    headers: tuple[Header, ...] = ()


class RefusedError(GatewayError):
    """What a handler raises to refuse a request."""

    code = "refused_request"
    http_status = 400

    def __init__(self, status: int, message: str, errors: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(status, message, errors)
        self.status, self.message, self.errors = status, message, errors

    def __str__(self) -> str:
        return self.message


# An ASGI application is for what is no JSON, or streams.
Given = Answer | BaseModel | Mapping[str, Any] | ASGIApp | None
Handler = Callable[[Call, RequestContext], Awaitable[Given]]


class Endpoint(NamedTuple):
    """An operation, and what does it."""

    operation: Operation
    handler: Handler


class Api:
    """The ASGI application of one route.

    What is asked was validated by the chain, or is here. What a handler raises of ours is answered with its status
    here, as an answer of the application, which plugins may change; what nobody expected, by the chain's edge.

    Args:
        endpoints: in the order in which they are tried.
        planned: methods and fixed paths of operations that are not built yet; to their callers there is nothing there.
    """

    def __init__(self, endpoints: Sequence[Endpoint], *, planned: Collection[tuple[str, str]] = ()) -> None:
        self._planned = frozenset(planned)
        self.operations = tuple(one.operation for one in endpoints)
        self._found = Operations(self.operations)
        self._handlers = {id(one.operation): one.handler for one in endpoints}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        context = context_of(scope)
        found = self._found.find(scope["method"], context.path)
        if not isinstance(found, Matched):
            if (scope["method"], context.path) in self._planned:
                found = frozenset()
            await _not_there(scope, send, found)
            return
        call = context.call
        if call is None or call.operation is not found.operation:
            asked = validated(found, context, scope.get("query_string", b""))
            if isinstance(asked, Refusal):
                await refuse_with(scope, send, asked)
                return
            call = asked
        try:
            given = await self._handlers[id(found.operation)](call, context)
        except RefusedError as error:
            await refuse(scope, send, error.status, error.message, errors=error.errors)
            return
        except DisconnectedError:
            raise
        except SpazaError as error:
            refusal = refusal_in_words(error, context)
            if refusal is None:
                raise
            await refuse_with(scope, send, refusal)
            return
        if isinstance(given, Answer | BaseModel | Mapping) or given is None:
            await _answer(scope, send, given)
        else:
            await given(scope, receive, send)


async def _answer(scope: Scope, send: Send, given: Answer | BaseModel | Mapping[str, Any] | None) -> None:
    if not isinstance(given, Answer):
        given = Answer(204 if given is None else 200, given)
    headers = (NO_STORE, *given.headers)
    document = given.document
    if document is None:
        await send({"type": "http.response.start", "status": given.status, "headers": [*headers]})
        await send({"type": "http.response.body", "body": b""})
        return
    body = (
        document.model_dump_json(by_alias=True).encode() if isinstance(document, BaseModel) else orjson.dumps(document)
    )
    await answer_bytes(scope, send, given.status, body, JSON, headers=headers)


async def _not_there(scope: Scope, send: Send, methods: frozenset[str]) -> None:
    if methods:
        allow = ", ".join(sorted(methods)).encode()
        await refuse(scope, send, 405, "Method not allowed", headers=((b"allow", allow),))
    else:
        await refuse(scope, send, 404, "Not found")
