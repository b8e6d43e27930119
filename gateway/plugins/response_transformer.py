"""response-transformer: changes headers, and the body where it is a JSON object, of what the application answers.

It is the last to look at an answer's headers, those of the other plugins among them; of the application's answers
alone, for what plugins refuse has the one shape of errors, and stays as it is.

Values may hold templates, as those of request-transformer; they name the request. What they bring into a header is made
fit for one, for a query may hold an end of line, after which a caller could write headers of its own.

Source: Kong, kong/plugins/response-transformer/handler.lua (its header_filter runs at priority 800, after those of
correlation-id, cors and rate-limiting) and header_transformer.lua.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import orjson

from config.plugins import ChangedInAnswer, RenamedInAnswer, ResponseTransformerOptions
from config.templates import rendered
from gateway.asgi import ASGIApp, Header, Message, Receive, Scope, Send
from gateway.context import context_of
from gateway.operations import Operations
from gateway.templated import sources_of
from gateway.transforming import Steps, parted, transformed_object, transformed_pairs, typed
from telemetry.log import get_logger

_LENGTHS: Final = frozenset({b"content-length", b"transfer-encoding"})
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_log = get_logger("gateway")


class _Changes(NamedTuple):
    """What becomes of one answer; ``values`` are those of ``body`` by the names of its steps, as JSON has them."""

    headers: Steps
    body: Steps
    values: Mapping[str, Sequence[Any]]


class ResponseTransformer:
    """Changes answers. A body that is changed is collected first.

    Args:
        app: the rest of the chain.
        options: what becomes of what.
        operations: of the route, for the parameters in paths.
    """

    def __init__(self, app: ASGIApp, options: ResponseTransformerOptions, operations: Operations) -> None:
        self._app, self._options, self._operations = app, options, operations
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
        written = _Changes(self._headers, self._body, self._values(self._body))
        self._always = None if _are_templates(self._headers) or _are_templates(self._body) else written

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Change one answer."""
        begun: list[Message] = []
        pieces: list[bytes] = []
        others = context_of(scope).answer_headers
        changes = self._always if self._always is not None else self._rendered(scope)

        async def sending(event: Message) -> None:
            if event["type"] == "http.response.start":
                headers = _changed([*event.get("headers", ()), *others], changes.headers)
                # They are on the answer now; the edge is not to put them there once more.
                others.clear()
                event = {**event, "headers": headers}
                if not changes.body.are_none and _is_json(headers):
                    begun.append(event)
                    return
            elif event["type"] == "http.response.body" and begun:
                pieces.append(event.get("body", b""))
                if not event.get("more_body", False):
                    is_head = scope["method"] == "HEAD"
                    followed = context_of(scope).correlation_id
                    await _send(begun.pop(), b"".join(pieces), send, changes, head=is_head, followed=followed)
                return
            await send(event)

        await self._app(scope, receive, sending)

    def _rendered(self, scope: Scope) -> _Changes:
        sources = sources_of(scope, self._operations)
        body = self._body.rendered(partial(rendered, sources=sources))
        headers = self._headers.rendered(lambda value: _CONTROLS.sub(" ", rendered(value, sources)))
        return _Changes(headers, body, self._values(body))

    def _values(self, body: Steps) -> Mapping[str, Sequence[Any]]:
        options = self._options
        kinds = {"replace": options.replace, "add": options.add, "append": options.append}
        return {
            step: [
                typed(value, changed.json_types[at] if at < len(changed.json_types) else None)
                for at, (_, value) in enumerate(getattr(body, step))
            ]
            for step, changed in kinds.items()
        }


def _changed(headers: list[Header], steps: Steps) -> list[Header]:
    if steps.are_none:
        return list(headers)
    given = [(name.lower().decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    changed = transformed_pairs(given, steps)
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in changed]


async def _send(start: Message, body: bytes, send: Send, changes: _Changes, *, head: bool, followed: str) -> None:
    changed = body
    if body:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            _log.warning("answer_not_transformed", reason="not_json", correlation_id=followed)
        else:
            if isinstance(document, dict):
                changed = orjson.dumps(transformed_object(document, changes.body, changes.values))
    headers = [one for one in start["headers"] if one[0].lower() not in _LENGTHS]
    if not head:
        headers.append((b"content-length", b"%d" % len(changed)))
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": changed})


def _are_templates(steps: Steps) -> bool:
    return any("$(" in value for pairs in (steps.replace, steps.add, steps.append) for _, value in pairs)


def _lowered(changed: ChangedInAnswer | RenamedInAnswer) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in parted(changed.headers))


def _is_json(headers: list[Header]) -> bool:
    return any(
        name.lower() == b"content-type" and value.partition(b";")[0].strip().lower() == b"application/json"
        for name, value in headers
    )
