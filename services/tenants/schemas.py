"""What a tenant is made of, as it comes in and as it is answered."""

import re
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator, model_validator

PhoneNumberId = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,32}$")]
MetaId = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,32}$")]
E164 = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")]
_VISIBLE = re.compile(r"[\x21-\x7e]+")


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class PhoneNumber(_Schema):
    """A business number: Meta's id of it, and how people see it."""

    phone_number_id: PhoneNumberId
    display_phone_number: E164


class Location(_Schema):
    lat: float = Field(ge=-90, le=90)
    lon: float = Field(ge=-180, le=180)


class WhatsAppAccount(_Schema):
    access_token: SecretStr = Field(min_length=1, max_length=4096)
    waba_id: MetaId | None = None
    catalog_id: MetaId | None = None

    @field_validator("access_token")
    @classmethod
    def _fits_a_header(cls, token: SecretStr) -> SecretStr:
        if _VISIBLE.fullmatch(token.get_secret_value()) is None:
            raise ValueError("access_token: it has visible ASCII characters alone; no spaces, no line breaks")
        return token


class Limits(_Schema):
    """Requests on one route; None means the platform's limit."""

    minute: int | None = Field(default=None, ge=1)
    hour: int | None = Field(default=None, ge=1)


class TenantSpec(_Schema):
    """A tenant to be made."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    phone_numbers: tuple[PhoneNumber, ...] = Field(min_length=1, max_length=20)
    location: Location
    whatsapp: WhatsAppAccount
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _numbers_differ(self) -> Self:
        if len({number.phone_number_id for number in self.phone_numbers}) < len(self.phone_numbers):
            raise ValueError("phone_numbers: the same phone_number_id stands there twice")
        return self


class ProvisionedTenant(_Schema):
    """A tenant that is there, whole."""

    tenant_id: str
    shard_id: int
