"""What the route ``tenants`` can be asked, and what it answers, as it is documented."""

from datetime import datetime
from typing import ClassVar, Final, Literal

from pydantic import BaseModel, Field, RootModel

from gateway.operations import Operation
from gateway.refused import Refused
from services.tenants.api_schemas import (
    ExportQuery,
    LimitsRequest,
    ListQuery,
    MoveRequest,
    NoFields,
    RemoveQuery,
    RotateRequest,
    TokenRequest,
)
from services.tenants.schemas import Location, PhoneNumber, TenantSpec

State = Literal["active", "suspended", "removing", "dropping", "removed"]


class TenantPath(BaseModel):
    """Which tenant."""

    tenant_id: str = Field(pattern="^[0-9a-f]{32}$", examples=["01a206f3c5d97c0e9c1d6c7e7f2b4a11"])


class IdempotencyKey(BaseModel):
    """A text of your own, new for each request, and the same when you repeat it.

    Attributes:
        idempotency_key: a repeat within 24 hours gets the same answer, secret included.
    """

    idempotency_key: str = Field(pattern=r"^[\x21-\x7e]{1,255}$")


class CredentialShown(BaseModel):
    """What a tenant signs its calls with; shown this once.

    Attributes:
        secret: base64 of 32 bytes, the key of HS256.
    """

    kid: str
    secret: str


class PublicKeyTaken(BaseModel):
    """The name of a public key that was given; its tenant signs with the private one."""

    kid: str
    algorithm: Literal["RS256"]


class TenantMade(BaseModel):
    """A tenant that is there, whole, with its credential."""

    success: Literal[True]
    tenant_id: str
    shard_id: int
    credential: CredentialShown


class RetiredCredential(BaseModel):
    """An older credential, and until when it holds."""

    kid: str
    expires_at: datetime


class CredentialRotated(BaseModel):
    """A tenant's new credential, and the older ones."""

    success: Literal[True]
    tenant_id: str
    shard_id: int
    credential: CredentialShown | PublicKeyTaken
    retired: list[RetiredCredential]


class WindowsShown(BaseModel):
    """Requests in a minute and in an hour; null is what holds otherwise."""

    minute: int | None
    hour: int | None


class LimitsShown(WindowsShown):
    """A tenant's own limits on each route, and over these those on single ones; null is the route's."""

    routes: dict[str, WindowsShown]


class TenantListed(BaseModel):
    """A tenant as its placement has it."""

    tenant_id: str
    name: str
    state: State
    shard_id: int
    epoch: int
    limits: LimitsShown
    created_at: datetime
    changed_at: datetime


class TenantWithNumbers(TenantListed):
    """A tenant of a page; its numbers are Meta's ids."""

    phone_numbers: list[str]


class TenantPage(BaseModel):
    """Tenants in the order of their making.

    Attributes:
        next_cursor: null after the last.
        partial: whether shards did not answer, whose tenants are left out.
    """

    tenants: list[TenantWithNumbers]
    next_cursor: str | None
    partial: bool
    missing_shards: list[int]


class AccountShown(BaseModel):
    """What is not secret of a WhatsApp account."""

    waba_id: str | None
    catalog_id: str | None


class CredentialListed(BaseModel):
    """A credential without its secret; no expiry before another takes its place."""

    kid: str
    algorithm: str
    created_at: datetime
    expires_at: datetime | None


class MoveShown(BaseModel):
    """A move that is under way, or that its mover has left and that is ended soon."""

    from_shard_id: int
    to_shard_id: int
    step: Literal["copying", "flipped", "undoing"]


class TenantShown(TenantListed):
    """A tenant in full, without secrets. Of one that is being taken away only the placement is left."""

    moving: MoveShown | None = None
    phone_numbers: list[PhoneNumber] = Field(default_factory=list)
    location: Location | None = None
    whatsapp: AccountShown | None = None
    payments: list[Literal["paystack", "ozow"]] = Field(default_factory=list)
    credentials: list[CredentialListed] = Field(default_factory=list)


class TenantMoved(BaseModel):
    """Where a tenant lives now.

    Attributes:
        moved: false if it lived there already.
        rows: that were compared on both shards.
        rounds: of copying, the last one in the freeze.
        messages: that waited for it and went with it.
        freeze_ms: for how long nothing of it could be read or written.
        seconds: for all of it.
    """

    success: Literal[True]
    tenant_id: str
    from_shard_id: int
    shard_id: int
    epoch: int
    moved: bool
    rows: int
    rounds: int
    messages: int
    freeze_ms: float
    seconds: float


class MoveGoesOn(BaseModel):
    """It takes longer; who asks again gets to know how it ended."""

    success: Literal[False]
    tenant_id: str
    under_way: Literal[True]


class TenantState(BaseModel):
    """The state that a tenant is in now."""

    success: Literal[True]
    tenant_id: str
    state: State


class TenantLimited(BaseModel):
    """A tenant's own limits as they are now; they hold from its next call on."""

    success: Literal[True]
    tenant_id: str
    limits: LimitsShown


class TokenSigned(BaseModel):
    """A token for calls as this tenant, under its latest credential."""

    tenant_id: str
    kid: str
    token: str
    expires_at: datetime


class SecretsResealed(BaseModel):
    """What was sealed anew under the current key.

    Attributes:
        complete: whether nothing is left under another key.
        resealed: how many texts.
        unopened: how many no known key opens.
        forgotten_keys: how many other keys are needed no longer.
    """

    complete: bool
    resealed: int
    unopened: int
    missing_shards: list[int]
    forgotten_keys: int


class ExportLines(RootModel[str]):
    """Every row of the tenant as JSON lines; without a last line ``{"end": true, ...}`` it broke off."""

    media_type: ClassVar[str] = "application/x-ndjson"


OPERATIONS: Final = (
    Operation(
        "POST",
        "/",
        "Make a tenant: a merchant with its numbers, its schema and its credential.",
        body=TenantSpec,
        headers=IdempotencyKey,
        answers={201: TenantMade, 409: Refused, 410: Refused},
    ),
    Operation("GET", "/", "List tenants, page by page.", query=ListQuery, answers={200: TenantPage}),
    Operation(
        "POST",
        "/reseal",
        "Seal all secrets anew under the current key.",
        body=NoFields,
        body_required=False,
        answers={200: SecretsResealed},
    ),
    Operation(
        "GET",
        "/{tenant_id}",
        "One tenant: numbers, credentials, gateways; no secrets.",
        path_parameters=TenantPath,
        answers={200: TenantShown, 404: Refused},
    ),
    Operation(
        "POST",
        "/{tenant_id}/rotate",
        "Issue a new credential; the older ones hold a while longer.",
        body=RotateRequest,
        body_required=False,
        path_parameters=TenantPath,
        headers=IdempotencyKey,
        answers={201: CredentialRotated, 404: Refused, 409: Refused, 410: Refused},
    ),
    Operation(
        "POST",
        "/{tenant_id}/token",
        "A token for calls as this tenant, for a short while.",
        body=TokenRequest,
        body_required=False,
        path_parameters=TenantPath,
        answers={201: TokenSigned, 404: Refused, 409: Refused},
    ),
    *(
        Operation(
            "POST",
            f"/{{tenant_id}}/{action}",
            about,
            body=NoFields,
            body_required=False,
            path_parameters=TenantPath,
            answers={200: TenantState, 404: Refused, 409: Refused},
        )
        for action, about in (
            ("suspend", "Answer neither its customers nor its calls, until it is resumed."),
            ("resume", "Serve it again."),
            ("remove", "Begin its removal; its rows stand still to be exported."),
        )
    ),
    Operation(
        "POST",
        "/{tenant_id}/limits",
        "Change its own limits, on each route or on single ones; it counts at once.",
        body=LimitsRequest,
        path_parameters=TenantPath,
        answers={200: TenantLimited, 404: Refused, 409: Refused},
    ),
    Operation(
        "POST",
        "/{tenant_id}/move",
        "Move it to another shard while it is in use.",
        body=MoveRequest,
        path_parameters=TenantPath,
        answers={200: TenantMoved, 202: MoveGoesOn, 404: Refused, 409: Refused},
    ),
    Operation(
        "GET",
        "/{tenant_id}/export",
        "Every row of it, or those behind the last that arrived.",
        path_parameters=TenantPath,
        query=ExportQuery,
        answers={200: ExportLines, 404: Refused, 409: Refused},
    ),
    Operation(
        "DELETE",
        "/{tenant_id}",
        "Take it away, once it was given up and exported.",
        path_parameters=TenantPath,
        query=RemoveQuery,
        answers={200: TenantState, 404: Refused, 409: Refused},
    ),
)
