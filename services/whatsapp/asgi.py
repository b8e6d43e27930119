"""The little of HTTP that the webhook needs, over raw ASGI: reading within a limit, answering, refusing."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar, NamedTuple

import orjson

from kernel.errors import SpazaError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

# How many times the limit is read before a sender is cut off.
_PATIENCE = 6

JSON, TEXT = b"application/json", b"text/plain; charset=utf-8"


class RefusedError(SpazaError):
    """A request that is answered with an error.

    Attributes:
        status: of the answer.
        message: for whoever called.
        headers: of the answer, beside the usual ones.
    """

    code: ClassVar[str] = "refused"

    def __init__(self, status: int, message: str, *headers: Header) -> None:
        super().__init__(status, message, *headers)
        self.status, self.message, self.headers = status, message, headers

    def __str__(self) -> str:
        return f"{self.status} {self.message}"


class DisconnectedError(SpazaError):
    """The caller went away before the whole request was there; nobody is left to be answered."""

    code: ClassVar[str] = "disconnected"


class Answer(NamedTuple):
    """An answer in full."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[Header, ...] = ()


def refusal(error: RefusedError, request_id: str) -> Answer:
    """The one shape of errors."""
    body = orjson.dumps({"message": error.message, "request_id": request_id})
    return Answer(error.status, body, headers=error.headers)


async def read_body(receive: Receive, limit_bytes: int) -> bytes:
    """The body.

    One that is too large is read to its end and thrown away, up to a few times the limit, for who is still sending
    does not see an answer.

    Raises:
        RefusedError: 413, it is larger than the limit.
        DisconnectedError: it ended before its end.
    """
    pieces: list[bytes] = []
    size = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise DisconnectedError
        piece = event.get("body", b"")
        size += len(piece)
        if size > limit_bytes:
            pieces.clear()
        else:
            pieces.append(piece)
        if size > limit_bytes * _PATIENCE:
            raise too_large(limit_bytes, (b"connection", b"close"))
        if not event.get("more_body", False):
            break
    if size > limit_bytes:
        raise too_large(limit_bytes)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def too_large(limit_bytes: int, *headers: Header) -> RefusedError:
    """What a body that is too large is answered with."""
    return RefusedError(413, f"Request body is larger than {limit_bytes} bytes", *headers)


async def send_answer(send: Send, answer: Answer, *headers: Header, head: bool = False) -> None:
    """Send an answer.

    Args:
        send: of the server, which adds headers to what it is given, so each event is made anew.
        answer: in full.
        headers: beside the answer's own.
        head: whether the request was HEAD, whose answer has no body.
    """
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [
                (b"content-type", answer.content_type),
                (b"content-length", b"%d" % len(answer.body)),
                *answer.headers,
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": b"" if head else answer.body})


async def serve_lifespan(receive: Receive, send: Send) -> None:
    """Agree to the server's start and end."""
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
