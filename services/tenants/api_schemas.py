"""What callers of the admin API of tenants send, checked at the edge."""

import re
from typing import Annotated, Final

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from actors.shards.placement import SHARDS
from services.tenants.removal import ExportPlace
from services.tenants.schemas import Limits

_LEAST_BITS: Final = 2048
_VISIBLE: Final = re.compile(r"^[\x21-\x7e]{1,255}$")
RouteName = Annotated[str, Field(max_length=63)]


def _visible(text: str) -> str:
    if _VISIBLE.fullmatch(text) is None:
        raise ValueError("must be 1 to 255 visible ASCII characters")
    return text


def _rsa_public_key(text: str) -> str:
    try:
        key = serialization.load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("must be a public key in PEM; make one with: openssl rsa -in key.pem -pubout") from error
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < _LEAST_BITS:
        raise ValueError(f"must be a key of RSA with {_LEAST_BITS} bits or more")
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


class _Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TenantPath(BaseModel):
    """Which tenant. A text that cannot be one's id is that of none."""

    tenant_id: str = Field(
        json_schema_extra={"pattern": "^[0-9a-f]{32}$", "examples": ["01a206f3c5d97c0e9c1d6c7e7f2b4a11"]}
    )


class IdempotencyKey(BaseModel):
    """A text of your own, new for each request, and the same when you repeat it.

    Attributes:
        idempotency_key: a repeat within 24 hours gets the same answer, secret included.
    """

    idempotency_key: Annotated[str, AfterValidator(_visible)] = Field(json_schema_extra={"pattern": _VISIBLE.pattern})


class ListQuery(_Given):
    """A page of tenants; the cursor is what the page before gave as ``next_cursor``.

    Attributes:
        max_staleness_s: what was changed within so many seconds may be missing, where the databases have standbys to
            read from; 0 wants all of it. Left out it is as the platform is set.
    """

    limit: int = Field(default=50, ge=1, le=500)
    cursor: str | None = None
    removed: bool = False
    max_staleness_s: float | None = Field(default=None, ge=0, le=3600)


class RotateRequest(_Given):
    """How the credentials are replaced.

    Attributes:
        grace_s: seconds for which those before the new one still hold: a day, unless said otherwise; 0 ends them at
            once.
        public_key: of RSA, in PEM, for a credential that signs with RS256; without, a secret for HS256 is issued.
    """

    grace_s: int = Field(default=86_400, ge=0, le=30 * 86_400, strict=True)
    public_key: Annotated[str, Field(max_length=10_000), AfterValidator(_rsa_public_key)] | None = None


class TokenRequest(_Given):
    """For how long a token holds: an hour, unless said otherwise."""

    ttl_s: int = Field(default=3_600, ge=60, le=86_400, strict=True)


class ExportQuery(_Given):
    """Where an export is gone on with: table and key of the last row that arrived, and the digest of its first line."""

    table: str | None = None
    key: str | None = None
    digest: str | None = None

    @model_validator(mode="after")
    def _all_or_none(self) -> "ExportQuery":
        if len({self.table is None, self.key is None, self.digest is None}) > 1:
            raise ValueError("table, key and digest go together: of the last row, and of the first line")
        if self.key is not None:
            self._parts()
        return self

    @property
    def place(self) -> ExportPlace | None:
        """The last row that arrived."""
        return None if self.table is None else ExportPlace(self.table, self._parts())

    def _parts(self) -> tuple[str, ...]:
        try:
            parts = orjson.loads(self.key or "")
        except orjson.JSONDecodeError as error:
            raise ValueError("key must be the JSON list of the row's key") from error
        if not isinstance(parts, list) or not all(isinstance(one, str) for one in parts):
            raise ValueError("key must be the JSON list of the row's key")
        return tuple(parts)


class RemoveQuery(_Given):
    """The digest of the last line of the export, as proof that there is one."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")


class MoveRequest(_Given):
    """Where a tenant is to live."""

    shard: int = Field(ge=0, lt=SHARDS, strict=True)


class LimitsRequest(Limits):
    """What becomes of a tenant's own limits. What is left out stays; null goes back to what holds otherwise.

    As they are then, no minute may be above the hour beside it.

    Attributes:
        minute: requests on each route; null goes back to the route's.
        hour: likewise.
        routes: by name, on single routes; null goes back to the two above, for one route or for all.
    """

    routes: dict[RouteName, Limits | None] | None = Field(default=None, max_length=100)


class NoFields(_Given):
    """A body without fields."""
