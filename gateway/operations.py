"""What a route can be asked to do, described once: it is validated, served and documented from this."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

# The media types of a body, where an operation names none.
JSON_ONLY: Final = ("application/json",)
_PARAMETER: Final = re.compile(r"\{(\w+)\}")


class Operation(NamedTuple):
    """One call of a route.

    Attributes:
        method: in upper case; GET serves HEAD too.
        path: below the route's, such as ``/{sku}``; ``/`` is the route itself.
        summary: one sentence.
        body: what the body must be; None for no body.
        query: the parameters in the query; a field that is a list or tuple takes all values of its name. A parameter
            that is no field is refused if the model forbids others, else ignored.
        path_parameters: those in the path.
        headers: those in headers; a field ``idempotency_key`` is the header ``Idempotency-Key``.
        answers: by status, what the body of an answer is; None for one without. The refusals that every route may
            give need not be named.
        content_types: which the body may have.
        body_required: whether there has to be one; without, an empty one is an object without fields.
    """

    method: str
    path: str
    summary: str
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    path_parameters: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    answers: Mapping[int, type[BaseModel] | None] = {200: None}
    content_types: tuple[str, ...] = JSON_ONLY
    body_required: bool = True


class Matched(NamedTuple):
    """An operation, and the parameters in its path as they came."""

    operation: Operation
    parameters: Mapping[str, str]


class Call(NamedTuple):
    """What an operation was asked, as its models have it; None where it has no such model."""

    operation: Operation
    body: Any
    query: Any
    path: Any
    headers: Any


class Operations:
    """Finds the operation of a request. The first that fits, in their order.

    Args:
        operations: of one route.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.all = tuple(operations)
        self._fixed: dict[str, list[Operation]] = {}
        self._patterns: list[tuple[re.Pattern[str], Operation]] = []
        for one in operations:
            if "{" in one.path:
                self._patterns.append((_pattern(one.path), one))
            else:
                self._fixed.setdefault(one.path, []).append(one)

    def find(self, method: str, path: str) -> Matched | frozenset[str]:
        """The operation; or the methods that the path has, which are none where there is no such path.

        Args:
            method: of the request.
            path: below the route's, empty for the route itself.
        """
        wanted = "GET" if method == "HEAD" else method
        fitting = [Matched(one, {}) for one in self._fixed.get(path or "/", ())]
        for matched in fitting:
            if matched.operation.method == wanted:
                return matched
        # A fixed path is nobody's parameter, whatever it is asked.
        for pattern, one in () if fitting else self._patterns:
            found = pattern.fullmatch(path)
            if found is not None:
                matched = Matched(one, found.groupdict())
                if one.method == wanted:
                    return matched
                fitting.append(matched)
        methods = {one.operation.method for one in fitting}
        return frozenset(methods | {"HEAD"} if "GET" in methods else methods)


def _pattern(path: str) -> re.Pattern[str]:
    parts = [f"(?P<{part}>[^/]+)" if at % 2 else re.escape(part) for at, part in enumerate(_PARAMETER.split(path))]
    return re.compile("".join(parts))
