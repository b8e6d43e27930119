"""response-transformer: changes headers, and the body where it is a JSON object, of what the application answers.

It is the last to look at an answer's headers, those of the other plugins among them; of the application's answers
alone, for what plugins refuse has the one shape of errors, and stays as it is.

Source: Kong, kong/plugins/response-transformer/handler.lua (its header_filter runs at priority 800, after those of
correlation-id, cors and rate-limiting) and header_transformer.lua.
"""

from typing import Final

import orjson

from config.plugins import ChangedInAnswer, ResponseTransformerOptions
from gateway.asgi import ASGIApp, Header, Message, Receive, Scope, Send
from gateway.context import context_of
from gateway.transforming import Steps, parted, transformed_object, transformed_pairs, typed
from telemetry.log import get_logger

_LENGTHS: Final = frozenset({b"content-length", b"transfer-encoding"})
_log = get_logger("gateway")


class ResponseTransformer:
    """Changes answers. A body that is changed is collected first.

    Args:
        app: the rest of the chain.
        options: what becomes of what.
    """

    def __init__(self, app: ASGIApp, options: ResponseTransformerOptions) -> None:
        self._app = app
        self._headers = Steps(
            tuple(name.lower() for name in options.remove.headers),
            tuple((old, new.lower()) for old, new in _lowered(options.rename)),
            _lowered(options.replace),
            _lowered(options.add),
            _lowered(options.append),
        )
        self._body = Steps(
            options.remove.json_,
            parted(options.rename.json_),
            parted(options.replace.json_),
            parted(options.add.json_),
            parted(options.append.json_),
        )
        self._values = {
            step: [
                typed(value, changed.json_types[at] if at < len(changed.json_types) else None)
                for at, (_, value) in enumerate(parted(changed.json_))
            ]
            for step, changed in (("replace", options.replace), ("add", options.add), ("append", options.append))
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Change one answer."""
        begun: list[Message] = []
        pieces: list[bytes] = []
        others = context_of(scope).answer_headers

        async def sending(event: Message) -> None:
            if event["type"] == "http.response.start":
                headers = self._changed([*event.get("headers", ()), *others])
                # They are on the answer now; the edge is not to put them there once more.
                others.clear()
                event = {**event, "headers": headers}
                if not self._body.are_none and _is_json(headers):
                    begun.append(event)
                    return
            elif event["type"] == "http.response.body" and begun:
                pieces.append(event.get("body", b""))
                if not event.get("more_body", False):
                    await self._send(begun.pop(), b"".join(pieces), send, head=scope["method"] == "HEAD")
                return
            await send(event)

        await self._app(scope, receive, sending)

    def _changed(self, headers: list[Header]) -> list[Header]:
        if self._headers.are_none:
            return list(headers)
        given = [(name.lower().decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        changed = transformed_pairs(given, self._headers)
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in changed]

    async def _send(self, start: Message, body: bytes, send: Send, *, head: bool) -> None:
        changed = body
        if body:
            try:
                document = orjson.loads(body)
            except orjson.JSONDecodeError:
                _log.warning("answer_not_transformed", reason="not_json", size_bytes=len(body))
            else:
                if isinstance(document, dict):
                    changed = orjson.dumps(transformed_object(document, self._body, self._values))
        headers = [one for one in start["headers"] if one[0].lower() not in _LENGTHS]
        if not head:
            headers.append((b"content-length", b"%d" % len(changed)))
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": changed})


def _lowered(changed: ChangedInAnswer) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in parted(changed.headers))


def _is_json(headers: list[Header]) -> bool:
    return any(
        name.lower() == b"content-type" and value.partition(b";")[0].strip().lower() == b"application/json"
        for name, value in headers
    )
