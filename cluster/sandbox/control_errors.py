"""Errors of the control API, in the shape of all of Spaza's APIs.

SpazaError
    ControlError: a request to ``/sandbox/...`` that cannot be done
"""

from collections.abc import Sequence
from typing import Any

import orjson
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from kernel.errors import SpazaError
from kernel.identifiers import new_id


class ControlError(SpazaError):
    """A request that cannot be done.

    Attributes:
        status: the HTTP status.
        errors: pairs of field and message.
    """

    code = "sandbox_request"
    http_status = 400

    def __init__(self, message: str, errors: tuple[tuple[str, str], ...] = (), status: int = 400) -> None:
        super().__init__(message, errors, status)
        self.message, self.errors, self.status = message, errors, status

    def __str__(self) -> str:
        return "; ".join([self.message, *(f"{field}: {message}" for field, message in self.errors)])


def invalid_request(error: ValidationError) -> ControlError:
    """Each fault with the name of its field."""
    faults = []
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        field = ".".join(str(part) for part in one["loc"]) or "body"
        known = "there is no such field" if one["type"] == "extra_forbidden" else one["msg"]
        faults.append((field, known.removeprefix("Value error, ")))
    return ControlError("the request is not valid", tuple(faults))


def respond_error(_request: Request, error: Exception) -> Response:
    """The answer for any error of the control API."""
    if isinstance(error, ControlError):
        return _response(error.status, error.message, error.errors)
    if isinstance(error, HTTPException):
        return _response(error.status_code, error.detail.lower(), headers=error.headers)
    return _response(500, "an unexpected error; the sandbox's log has it")


def _response(status: int, message: str, errors: Sequence[tuple[str, str]] = (), headers: Any = None) -> Response:
    body: dict[str, Any] = {"message": message, "request_id": new_id()}
    if errors:
        body["errors"] = [{"field": field, "message": text} for field, text in errors]
    return Response(orjson.dumps(body), status, headers, media_type="application/json")
