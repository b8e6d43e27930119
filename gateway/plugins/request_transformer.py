"""request-transformer: changes headers, the body where it is a JSON object, and the query, before the application.

Kong's bodies of forms and its changes of method and path are left out, for no route has need of them.

Source: Kong, kong/plugins/request-transformer/access.lua (priority 801).
"""

from typing import Final
from urllib.parse import parse_qsl, urlencode

import orjson

from config.plugins import Changed, Renamed, RequestTransformerOptions
from config.templates import rendered
from gateway.asgi import ASGIApp, Receive, Scope, Send
from gateway.context import RequestContext, context_of
from gateway.operations import Operations
from gateway.replay import replaying
from gateway.templated import sources_of
from gateway.transforming import Steps, parted, transformed_object, transformed_pairs

# The server's own; it may be replaced, no more.
_FIXED: Final = frozenset({"host"})


class RequestTransformer:
    """Changes requests. Refuses none; a body that is no JSON object stays as it is.

    Args:
        app: the rest of the chain.
        options: what becomes of what.
        operations: of the route, for the parameters in paths.
    """

    def __init__(self, app: ASGIApp, options: RequestTransformerOptions, operations: Operations) -> None:
        self._app, self._operations = app, operations
        self._headers = _steps(options, "headers", lower=True)
        self._body, self._query = _steps(options, "body"), _steps(options, "querystring")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Change one request."""
        if self._headers.are_none and self._body.are_none and self._query.are_none:
            await self._app(scope, receive, send)
            return
        context = context_of(scope)
        sources = sources_of(scope, self._operations)

        def render(value: str) -> str:
            return rendered(value, sources)

        if not self._headers.are_none:
            self._change_headers(scope, self._headers.rendered(render))
        if not self._body.are_none and self._change_body(scope, context, self._body.rendered(render)):
            receive = replaying(context.body, receive)
        if not self._query.are_none:
            pairs = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
            scope["query_string"] = urlencode(transformed_pairs(pairs, self._query.rendered(render))).encode()
        context.headers = dict(scope["headers"])
        # What was looked at before is not what there is now.
        context.call = None
        await self._app(scope, receive, send)

    def _change_headers(self, scope: Scope, steps: Steps) -> None:
        given = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        scope["headers"] = [
            (name.encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in transformed_pairs(given, steps, fixed=_FIXED)
        ]

    def _change_body(self, scope: Scope, context: RequestContext, steps: Steps) -> bool:
        if b"application/json" not in context.headers.get(b"content-type", b"").lower():
            return False
        try:
            document = orjson.loads(context.body) if context.body else {}
        except orjson.JSONDecodeError:
            return False
        if not isinstance(document, dict):
            return False
        if not context.body:
            steps = Steps(add=steps.add, append=steps.append)
        texts = {step: [value for _, value in getattr(steps, step)] for step in ("replace", "add", "append")}
        changed = transformed_object(document, steps, texts)
        if changed == document:
            return False
        context.body = orjson.dumps(changed)
        length = (b"content-length", b"%d" % len(context.body))
        kept = [one for one in scope["headers"] if one[0] not in {b"content-length", b"transfer-encoding"}]
        scope["headers"] = [*kept, length]
        return True


def _steps(options: RequestTransformerOptions, part: str, *, lower: bool = False) -> Steps:
    def pairs(changed: Changed | Renamed) -> tuple[tuple[str, str], ...]:
        found = parted(getattr(changed, part))
        return tuple((name.lower(), value) for name, value in found) if lower else found

    removed = getattr(options.remove, part)
    rename = pairs(options.rename)
    return Steps(
        tuple(name.lower() for name in removed) if lower else removed,
        tuple((old, new.lower()) for old, new in rename) if lower else rename,
        pairs(options.replace),
        pairs(options.add),
        pairs(options.append),
    )
