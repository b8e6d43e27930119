"""The Graph API's HTTP side, as a bare ASGI application: it stands in the way of every message that is sent."""

import asyncio
import re

from starlette.types import Receive, Scope, Send

from cluster.sandbox.config import Bounds
from cluster.sandbox.graph_errors import GraphError, no_such_object, refusal, unknown_path
from cluster.sandbox.knobs import Panel
from cluster.sandbox.messages import Answer, MessageDesk

_MESSAGES = re.compile(r"/v\d+(?:\.\d+)?/(\d{1,32})/messages/?")
# How long a sender that gets no answer is left waiting, at most.
_UNANSWERED_S = 60.0


class GraphApi:
    """Reads a request, asks the desk, writes the answer, or keeps it back where a knob says so."""

    def __init__(self, desk: MessageDesk, panel: Panel, bounds: Bounds) -> None:
        self._desk, self._panel, self._bounds = desk, panel, bounds
        self._unanswered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        path = scope["path"]
        matched = _MESSAGES.fullmatch(path)
        body = await self._body(receive)
        if body is None:
            return
        if matched is None:
            answer = self._desk.refuse(unknown_path(path))
        elif scope["method"] != "POST":
            answer = self._desk.refuse(no_such_object(matched[1], scope["method"]))
        elif len(body) > self._bounds.body_bytes:
            answer = self._desk.refuse(_too_large(self._bounds.body_bytes))
        else:
            answer = self._desk.post(matched[1], _authorization(scope), body)
        if self._panel.knobs.answer_delay_ms:
            await asyncio.sleep(self._panel.knobs.answer_delay_ms / 1000)
        if answer.lost and self._unanswered < self._bounds.unanswered:
            await self._keep_waiting(receive)
            answer = self._desk.refuse(refusal(131000))
        await _respond(send, answer)

    async def _body(self, receive: Receive) -> bytes | None:
        """The body, cut where it is too long; None when the sender has gone."""
        parts, size = [], 0
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                return None
            part: bytes = event.get("body", b"")
            if size <= self._bounds.body_bytes:
                parts.append(part)
                size += len(part)
            if not event.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _keep_waiting(self, receive: Receive) -> None:
        self._unanswered += 1
        try:
            async with asyncio.timeout(_UNANSWERED_S):
                while (await receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            return
        finally:
            self._unanswered -= 1


def _authorization(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"authorization":
            text: str = value.decode("latin-1")
            return text
    return None


def _too_large(limit: int) -> GraphError:
    return GraphError(100, 413, "(#100) Invalid parameter", f"The request body is larger than {limit} bytes.")


async def _respond(send: Send, answer: Answer) -> None:
    headers = [
        (b"content-type", b"application/json; charset=UTF-8"),
        (b"content-length", str(len(answer.body)).encode()),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
