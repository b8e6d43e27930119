"""What templates in the values of the transformers may name: a request as it came."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from gateway.asgi import Scope
from gateway.context import context_of
from gateway.operations import Matched, Operations

Sources = Mapping[str, Mapping[str, str]]


def sources_of(scope: Scope, operations: Operations) -> Sources:
    """The values of a request, by the words of ``config.templates``.

    Args:
        scope: of the request.
        operations: of the route, for the parameters in paths.
    """
    query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    found = operations.find(scope["method"], context_of(scope).path)
    return {
        "headers": {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        "query_params": dict(reversed(query)),
        "uri_captures": found.parameters if isinstance(found, Matched) else {},
    }
