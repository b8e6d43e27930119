"""Answers of the gateway itself, and the one shape of refusals."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from gateway.asgi import Header, Scope, Send
from gateway.context import context_of
from gateway.refusal import Faults, Refusal
from kernel.errors import SpazaError

JSON: Final = b"application/json"
NO_STORE: Final = (b"cache-control", b"no-store")
# Where nobody knows better.
RETRY_AFTER: Final = (b"retry-after", b"2")


async def refuse(
    scope: Scope,
    send: Send,
    status: int,
    message: str,
    *,
    errors: Faults | None = None,
    headers: Iterable[Header] = (),
    document: Mapping[str, Any] | None = None,
) -> None:
    """Answer with ``{"message", "request_id"}``, and with ``errors: [{"field", "message"}]`` where there are any."""
    if document is None:
        document = {"message": message, "request_id": context_of(scope).correlation_id}
        if errors:
            document["errors"] = [{"field": field, "message": fault} for field, fault in errors]
    await answer(scope, send, status, document, headers=(NO_STORE, *headers))


async def refuse_with(scope: Scope, send: Send, refusal: Refusal) -> None:
    """Answer with a refusal."""
    status, message, errors, headers, document = refusal
    await refuse(scope, send, status, message, errors=errors, headers=headers, document=document)


async def answer(scope: Scope, send: Send, status: int, document: Any, *, headers: Iterable[Header] = ()) -> None:
    """Answer with a document as JSON; to HEAD without it."""
    await answer_bytes(scope, send, status, orjson.dumps(document), JSON, headers=headers)


async def answer_bytes(
    scope: Scope, send: Send, status: int, body: bytes, content_type: bytes, *, headers: Iterable[Header] = ()
) -> None:
    """Answer with these bytes; to HEAD without them. Each event is made anew, for the server writes into it."""
    length = b"%d" % len(body)
    all_headers = [(b"content-type", content_type), (b"content-length", length), *headers]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def refusal_of(error: SpazaError) -> Refusal:
    """What an error of ours is answered with."""
    text = str(error)
    after_s: float | None = getattr(error, "retry_after_s", None)
    again = RETRY_AFTER if after_s is None else (b"retry-after", b"%d" % max(1, math.ceil(after_s)))
    headers = (again,) if error.retryable else ()
    return Refusal(error.http_status, text[:1].upper() + text[1:], headers=headers)
