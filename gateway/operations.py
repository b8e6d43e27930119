"""What a route can be asked to do, described once: it is validated, served and documented from this."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from pydantic import BaseModel

# The media types of a body, where an operation names none.
JSON_ONLY: Final = ("application/json",)


class Operation(NamedTuple):
    """One call of a route.

    Attributes:
        method: in upper case.
        path: below the route's, such as ``/{sku}``; ``/`` is the route itself.
        summary: one sentence.
        body: what the body must be; None for no body.
        query: the parameters in the query; a field that is a list or tuple takes all values of its name.
        path_parameters: those in the path.
        headers: those in headers; a field ``idempotency_key`` is the header ``Idempotency-Key``.
        answers: by status, what the body of an answer is; None for one without. The refusals that every route may
            give need not be named.
        content_types: which the body may have.
        body_required: whether there has to be one.
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
