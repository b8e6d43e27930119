"""The OpenAPI 3.1 document of all routes, from the operations and models by which they are validated. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.operations import Operation
from gateway.refused import Refused

_REFS: Final = "#/components/schemas/{model}"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_REFERENCE: Final = re.compile(r"``([^`]+)``")
_METHODS_WITHOUT_BODY: Final = frozenset({"GET", "DELETE"})
_PLACES: Final = ("path", "query", "header")

# By whom a route may be called, as a security scheme; None for everybody.
SCHEMES: Final[Mapping[str, Mapping[str, Any]]] = {
    "tenant": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Signed under the tenant's credential, by its algorithm: HS256 with its secret, base64-decoded, "
        "as the key, or RS256 with the private key of the public one that was given for it. `kid` is in the payload or "
        "the header, `exp` and `tenant_id` among the claims. `spaza tenant token` prints one.",
    },
    "admin": {"type": "http", "scheme": "bearer", "description": "The token in `SPAZA_ADMIN__TOKEN`."},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Hub-Signature-256",
        "description": "`sha256=` and the HMAC-SHA256 of the body's bytes under the Meta app's secret, in hexadecimal.",
    },
}
_REFUSALS: Final[Mapping[str, str]] = {
    "400": "Something in the request is not as it must be; `errors` names each field.",
    "401": "The token or signature is missing or does not hold.",
    "403": "Whoever calls is known and may not.",
    "404": "There is nothing under this name.",
    "405": "The path cannot be asked this; `Allow` names what it can.",
    "408": "The body did not arrive in time.",
    "409": "What stands there does not allow it.",
    "410": "What it was about was removed.",
    "411": "The length of the body has to be declared.",
    "413": "The body is too large.",
    "417": "The body would be too large; it was asked about before it was sent.",
    "422": "The idempotency key stands for another request.",
    "429": "Too many requests; `Retry-After` says when the next one passes.",
    "500": "Something failed that should not; the request may have been carried out.",
    "502": "The answer was lost on its way; the request may have been carried out.",
    "503": "A part behind cannot do it now; nothing is lost by asking again after `Retry-After` seconds.",
    "504": "Not done within the route's time; repeating it does no harm.",
}
_COUNT: Final = {"type": "integer", "minimum": 0}
# By name, of answers on routes with limits.
_OF_LIMITS: Final[Mapping[str, Mapping[str, Any]]] = {
    **{
        f"X-RateLimit-{what}-{window}": {"description": f"Requests {said} in the {window.lower()}.", "schema": _COUNT}
        for window in ("Minute", "Hour")
        for what, said in (("Limit", "allowed"), ("Remaining", "left"))
    },
    "RateLimit-Limit": {"description": "Allowed in the window in which least is left.", "schema": _COUNT},
    "RateLimit-Remaining": {"description": "Left in that window.", "schema": _COUNT},
    "RateLimit-Reset": {"description": "Seconds until that window ends.", "schema": _COUNT},
    "RateLimit": {
        "description": "What is left of each window, and the seconds until it ends, as the IETF's draft has it.",
        "schema": {"type": "string", "examples": ['"minute";r=99;t=42, "hour";r=4999;t=2442']},
    },
    "RateLimit-Policy": {
        "description": "What each window allows, and its length in seconds.",
        "schema": {"type": "string", "examples": ['"minute";q=100;w=60, "hour";q=5000;w=3600']},
    },
}
_HEADERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "X-Correlation-ID": {"description": "Under which the request stands in the logs.", "schema": {"type": "string"}},
    "Retry-After": {"description": "In seconds.", "schema": _COUNT},
    **_OF_LIMITS,
}
_CORRELATION_ID: Final = {
    "name": "X-Correlation-ID",
    "in": "header",
    "description": "Under which you want the request to stand in the logs and the answer: 1 to 128 letters, digits and "
    "`. _ : / + = @ -`. What is none of it is replaced.",
    "required": False,
    "schema": {"type": "string"},
}
_OPERATOR: Final = {
    "name": "X-Operator",
    "in": "header",
    "description": "Who you are, for the record of what operators do: 1 to 64 letters, digits, spaces and `_ . @ + -`. "
    "Else the record says `unknown`, and from which address.",
    "required": False,
    "schema": {"type": "string", "examples": ["thandi"]},
}
_OF_ALL: Final = ("500", "502", "503", "504")
_OF_SCHEME: Final[Mapping[str | None, tuple[str, ...]]] = {
    None: (),
    "tenant": ("401", "403", "429"),
    "admin": ("401",),
    "signature": ("401",),
}
_RETRY: Final = frozenset({"429", "503"})


class DocumentedRoute(NamedTuple):
    """A route as it is documented.

    Attributes:
        path: its prefix; empty for the front.
        tag: under which its operations are gathered.
        about: one sentence on it.
        operations: what it can be asked.
        scheme: by whom, of ``SCHEMES``; None for everybody.
        refusals: statuses that it may answer beside those of its operations and its scheme.
        open: methods that everybody may call all the same.
    """

    path: str
    tag: str
    about: str
    operations: Sequence[Operation]
    scheme: str | None
    refusals: tuple[str, ...] = ("400",)
    open: frozenset[str] = frozenset()


def openapi_of(routes: Sequence[DocumentedRoute], *, version: str) -> dict[str, Any]:
    """The document.

    Args:
        routes: in the order in which they are shown.
        version: of Spaza.
    """
    models = dict.fromkeys([model for route in routes for one in route.operations for model in _models(one)])
    wanted: list[tuple[Any, Literal["validation"]]] = [(model, "validation") for model in (*models, Refused)]
    references, definitions = models_json_schema(wanted, ref_template=_REFS)
    named: dict[type[BaseModel], Any] = {model: references[model, mode] for model, mode in wanted}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for one in route.operations:
            path = (route.path + one.path).rstrip("/") or "/"
            paths.setdefault(path, {})[one.method.lower()] = _operation(route, one, named)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Spaza",
            "version": version,
            "summary": "Sell through WhatsApp: many merchants, one platform.",
            "description": "JSON in snake_case, money in minor units, times in RFC 3339 and UTC. Every answer carries "
            "`X-Correlation-ID`: yours where you sent one, else a new one. Refusals have one shape, `Refused`; but "
            "what is wrong with a token's claims is told as Kong tells it, by the names of the claims (401). Of a name "
            "that stands twice in an object of JSON the last counts.",
        },
        "servers": [{"url": "/", "description": "Where this document was read"}],
        "tags": [{"name": route.tag, "description": route.about} for route in routes],
        "paths": paths,
        "components": {
            "schemas": {name: _described(schema) for name, schema in sorted(definitions.get("$defs", {}).items())},
            "responses": {f"Refused{status}": _refusal(status, named[Refused]) for status in _REFUSALS},
            "headers": _HEADERS,
            "securitySchemes": {name: dict(scheme) for name, scheme in SCHEMES.items()},
        },
    }


def _models(one: Operation) -> Iterator[type[BaseModel]]:
    if one.body is not None:
        yield one.body
    yield from (model for model in one.answers.values() if model is not None)


def _operation(route: DocumentedRoute, one: Operation, named: Mapping[type[BaseModel], Any]) -> dict[str, Any]:
    scheme = None if one.method in route.open else route.scheme
    documented: dict[str, Any] = {
        "operationId": _operation_id(route, one),
        "tags": [route.tag],
        "summary": one.summary,
        "security": [] if scheme is None else [{scheme: []}],
    }
    parameters = [
        parameter
        for place, model in zip(_PLACES, (one.path_parameters, one.query, one.headers), strict=True)
        for parameter in _parameters(place, model)
    ]
    named_by = [dict(_OPERATOR)] if scheme == "admin" else []
    documented["parameters"] = [*parameters, *named_by, dict(_CORRELATION_ID)]
    if one.body is not None:
        content = {kind: {"schema": named[one.body]} for kind in one.content_types}
        documented["requestBody"] = {"required": one.body_required, "content": content}
    statuses = {*_OF_ALL, *_OF_SCHEME[scheme], *route.refusals}
    if one.body is not None:
        statuses |= {"408", "411", "413", "417"}
    refusals = {status: {"$ref": f"#/components/responses/Refused{status}"} for status in statuses}
    headers = ("X-Correlation-ID", *(_OF_LIMITS if "429" in _OF_SCHEME[scheme] else ()))
    answers = {str(status): _answer(status, model, named, headers) for status, model in one.answers.items()}
    documented["responses"] = dict(sorted((refusals | answers).items()))
    return documented


def _operation_id(route: DocumentedRoute, one: Operation) -> str:
    words = [route.tag, one.method.lower(), *re.findall(r"\w+", one.path)]
    return "_".join(re.sub(r"\W+", "_", word).lower() for word in words)


def _parameters(place: str, model: type[BaseModel] | None) -> Iterator[dict[str, Any]]:
    if model is None:
        return
    whole = _described(model.model_json_schema(ref_template=_REFS))
    for name, schema in whole["properties"].items():
        plain = _without_null(schema)
        described = plain.pop("description", None)
        plain.pop("title", None)
        parameter: dict[str, Any] = {
            "name": name.replace("_", "-").title() if place == "header" else name,
            "in": place,
            "required": place == "path" or name in whole.get("required", ()),
            "schema": plain,
        }
        if described is not None:
            parameter["description"] = described
        yield parameter


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter is there or not; it is never null."""
    plain = dict(schema)
    kinds = [kind for kind in plain.pop("anyOf", ()) if kind.get("type") != "null"]
    if len(kinds) == 1:
        plain |= kinds[0]
    elif kinds:
        plain["anyOf"] = kinds
    if plain.get("default", ...) is None:
        del plain["default"]
    return plain


def _answer(
    status: int, model: type[BaseModel] | None, named: Mapping[type[BaseModel], Any], headers: Sequence[str]
) -> dict[str, Any]:
    if model is Refused:
        return {"$ref": f"#/components/responses/Refused{status}"}
    answer: dict[str, Any] = {
        "description": "Done." if model is None else _first_paragraph(model.__doc__ or "Done."),
        "headers": _references(headers),
    }
    if model is not None:
        media_type = getattr(model, "media_type", "application/json")
        answer["content"] = {media_type: {"schema": named[model]}}
    return answer


def _refusal(status: str, reference: Mapping[str, Any]) -> dict[str, Any]:
    names = ["X-Correlation-ID", *(["Retry-After"] if status in _RETRY else ())]
    if status == "429":
        names += _OF_LIMITS
    schema: Mapping[str, Any] = reference
    if status == "401":
        # As Kong: what is wrong with a token's claims, by the name of the claim.
        claims = {"type": "object", "additionalProperties": {"type": "string"}}
        schema = {"anyOf": [reference, claims]}
    return {
        "description": _REFUSALS[status],
        "headers": _references(names),
        "content": {"application/json": {"schema": schema}},
    }


def _references(headers: Sequence[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in headers}


def _described(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A model's schema with what its docstring says of its attributes beside each of them."""
    described = dict(schema)
    about, _, attributes = str(schema.get("description", "")).partition("\n\nAttributes:\n")
    if about:
        described["description"] = _prose(about)
    known = dict(_attributes(attributes))
    if "properties" in schema:
        described["properties"] = {
            name: {**one, "description": known[name]} if name in known and "description" not in one else one
            for name, one in schema["properties"].items()
        }
    return described


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    for found in re.finditer(r"^    (\w+): (.+(?:\n        .+)*)", text, re.MULTILINE):
        yield found[1], _prose(found[2])


def _first_paragraph(text: str) -> str:
    return _prose(text.partition("\n\n")[0])


def _prose(text: str) -> str:
    return _REFERENCE.sub(r"`\1`", " ".join(text.split()))
