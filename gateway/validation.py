"""Holds a request against the models of its operation, and names every field that is wrong, with the remedy."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin
from urllib.parse import parse_qsl

import orjson
from pydantic import BaseModel, ValidationError

from gateway.context import RequestContext
from gateway.faults import crowded, faults_of
from gateway.operations import Call, Matched, Operation
from gateway.query_forms import misshapen
from gateway.refusal import Refusal

_CONTENT_TYPE: Final = Refusal(400, "specified Content-Type is not allowed")
# Kong's words.
_BODY: Final = "request body doesn't conform to schema"
_PARAMETER: Final = "request param doesn't conform to schema"
_MOST_PARAMETERS: Final = 100
_MANY: Final = frozenset({list, tuple, set, frozenset, Sequence})
_Faults = list[tuple[str, str]]


def validated(
    matched: Matched,
    context: RequestContext,
    query_string: bytes,
    *,
    exact_types: bool = False,
    any_type: bool = False,
) -> Call | Refusal:
    """What the operation is asked, or with what that is refused.

    Args:
        matched: the operation, and the parameters in the path.
        context: of the request, with headers and body.
        query_string: as it came.
        exact_types: whether a media type's parameters are compared too.
        any_type: whether a media type is as good as another, so long as the body can be read.
    """
    operation = matched.operation
    looked_at = operation.body is not None and context.body and not any_type
    if looked_at and not _is_allowed(context, operation, exact=exact_types):
        allowed = f"must be {' or '.join(operation.content_types)}"
        return _CONTENT_TYPE._replace(errors=(("Content-Type", allowed),))
    faults: _Faults = []
    path = _made(operation.path_parameters, matched.parameters, faults)
    query = _query(operation.query, query_string, faults)
    headers = _headers(operation.headers, context.headers, faults)
    wrong_parameters = len(faults)
    body = _body(operation, context.body, faults)
    if faults:
        return Refusal(400, _PARAMETER if wrong_parameters else _BODY, errors=tuple(faults))
    return Call(operation, body, query, path, headers)


def _is_allowed(context: RequestContext, operation: Operation, *, exact: bool) -> bool:
    given = context.headers.get(b"content-type")
    if given is None:
        # As Kong: who names none means the usual one.
        return True
    text = given.decode("latin-1").strip().lower()
    return (text if exact else text.partition(";")[0].rstrip()) in operation.content_types


def _body(operation: Operation, body: bytes, faults: _Faults) -> BaseModel | None:
    if operation.body is None:
        return None
    if not body:
        if operation.body_required:
            faults.append(("body", "is missing; it is required"))
            return None
        return _made(operation.body, {}, faults)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        faults.append(("body", f"is not JSON: {error}"))
        return None
    if (fault := crowded(document)) is not None:
        faults.append(fault)
        return None
    return _made(operation.body, document, faults)


def _query(model: type[BaseModel] | None, query_string: bytes, faults: _Faults) -> BaseModel | None:
    if model is None:
        return None
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS
        )
    except ValueError:
        faults.append(("query", f"must be at most {_MOST_PARAMETERS} parameters, in UTF-8 with %-escapes"))
        return None
    many = _lists(model)
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name in many:
            given.setdefault(name, []).append(value)
        elif name in given:
            faults.append((name, "is given more than once; give it once"))
        else:
            given[name] = value
    wrong = dict(misshapen(model, pairs))
    found: _Faults = []
    made = _made(model, given, found, whole="query")
    faults += [*wrong.items(), *(fault for fault in found if fault[0] not in wrong)]
    return made


def _headers(model: type[BaseModel] | None, headers: Mapping[bytes, bytes], faults: _Faults) -> BaseModel | None:
    if model is None:
        return None
    names = _header_names(model)
    given = {
        field: headers[name.lower().encode()].decode("latin-1")
        for field, name in names.items()
        if name.lower().encode() in headers
    }
    found: _Faults = []
    made = _made(model, given, found)
    faults += [(names.get(field, field), fault) for field, fault in found]
    return made


def _made(model: type[BaseModel] | None, given: Any, faults: _Faults, *, whole: str = "body") -> BaseModel | None:
    if model is None:
        return None
    try:
        return model.model_validate(given)
    except ValidationError as error:
        faults += faults_of(error, whole=whole)
        return None


@lru_cache(maxsize=1024)
def _lists(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(field.alias or name for name, field in model.model_fields.items() if _is_many(field.annotation))


def _is_many(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in {Union, UnionType}:
        return any(map(_is_many, get_args(annotation)))
    return _is_many(get_args(annotation)[0]) if origin is Annotated else origin in _MANY


@lru_cache(maxsize=1024)
def _header_names(model: type[BaseModel]) -> Mapping[str, str]:
    return {
        field.alias or name: (field.alias or name).replace("_", "-").title()
        for name, field in model.model_fields.items()
    }
