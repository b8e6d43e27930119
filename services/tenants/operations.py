"""What the route ``tenants`` can be asked: it is validated, served and documented from this."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from gateway.operations import Operation
from gateway.refused import Refused
from services.tenants.answers import (
    CredentialRotated,
    ExportLines,
    MoveGoesOn,
    SecretsResealed,
    TenantLimited,
    TenantMade,
    TenantMoved,
    TenantPage,
    TenantShown,
    TenantState,
    TokenSigned,
)
from services.tenants.api_schemas import (
    ExportQuery,
    IdempotencyKey,
    LimitsRequest,
    ListQuery,
    MoveRequest,
    NoFields,
    RemoveQuery,
    RotateRequest,
    TenantPath,
    TokenRequest,
)
from services.tenants.schemas import TenantSpec


def _refusing(*statuses: int) -> dict[int, type[BaseModel]]:
    return dict.fromkeys(statuses, Refused)


def _of_one(
    method: str, verb: str, summary: str, answers: Mapping[int, type[BaseModel]], *refusals: int, **asked: Any
) -> Operation:
    """Something about one tenant, of which there may be none."""
    path = f"/{{tenant_id}}/{verb}".rstrip("/")
    answers = {**answers, **_refusing(404, *refusals)}
    return Operation(method, path, summary, path_parameters=TenantPath, answers=answers, **asked)


def _entering(verb: str, summary: str) -> Operation:
    """What brings a tenant into another state."""
    return _of_one("POST", verb, summary, {200: TenantState}, 409, body=NoFields, body_required=False)


# An idempotency key that stands for another request is 422.
CREATE: Final = Operation(
    "POST",
    "/",
    "Make a tenant: a merchant with its numbers, its schema and its credential.",
    body=TenantSpec,
    headers=IdempotencyKey,
    answers={201: TenantMade, **_refusing(409, 410, 422)},
)
LIST: Final = Operation("GET", "/", "List tenants, page by page.", query=ListQuery, answers={200: TenantPage})
RESEAL: Final = Operation(
    "POST",
    "/reseal",
    "Seal all secrets anew under the current key.",
    body=NoFields,
    body_required=False,
    answers={200: SecretsResealed},
)
SHOW: Final = _of_one("GET", "", "One tenant: numbers, credentials, gateways; no secrets.", {200: TenantShown})
ROTATE: Final = _of_one(
    "POST",
    "rotate",
    "Issue a new credential; the older ones hold a while longer.",
    {201: CredentialRotated},
    409, 410, 422,
    body=RotateRequest,
    body_required=False,
    headers=IdempotencyKey,
)  # fmt: skip
TOKEN: Final = _of_one(
    "POST",
    "token",
    "A token for calls as this tenant, for a short while.",
    {201: TokenSigned},
    409,
    body=TokenRequest,
    body_required=False,
)
SUSPEND: Final = _entering("suspend", "Answer neither its customers nor its calls, until it is resumed.")
RESUME: Final = _entering("resume", "Serve it again.")
GIVE_UP: Final = _entering("remove", "Begin its removal; its rows stand still to be exported.")
LIMIT: Final = _of_one(
    "POST",
    "limits",
    "Change its own limits, on each route or on single ones; it counts at once.",
    {200: TenantLimited},
    409,
    body=LimitsRequest,
)
MOVE: Final = _of_one(
    "POST",
    "move",
    "Move it to another shard while it is in use.",
    {200: TenantMoved, 202: MoveGoesOn},
    409,
    body=MoveRequest,
)
EXPORT: Final = _of_one(
    "GET", "export", "Every row of it, or those behind the last that arrived.", {200: ExportLines}, 409,
    query=ExportQuery,
)  # fmt: skip
REMOVE: Final = _of_one(
    "DELETE", "", "Take it away, once it was given up and exported.", {200: TenantState}, 409, query=RemoveQuery
)

OPERATIONS: Final = (
    CREATE, LIST, RESEAL, SHOW, ROTATE, TOKEN, SUSPEND, RESUME, GIVE_UP, LIMIT, MOVE, EXPORT, REMOVE,
)  # fmt: skip
