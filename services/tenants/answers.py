"""What the admin API of tenants answers, as it is documented."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, Field, RootModel

from services.tenants.schemas import Location, PhoneNumber

State = Literal["active", "suspended", "removing", "dropping", "removed"]


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
    """A move that is under way or waits for its turn, or that its mover has left and that is ended soon."""

    from_shard_id: int
    to_shard_id: int
    step: Literal["waiting", "copying", "flipped", "undoing"]


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
