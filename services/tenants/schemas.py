"""What a tenant is made of, as it comes in and as it is answered."""

import re
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    field_validator,
    model_validator,
)

from kernel.plain_text import is_plain

_VISIBLE = re.compile(r"[\x21-\x7e]+")


def _like(pattern: str, remedy: str) -> AfterValidator:
    """Refuse what does not match, and say what would."""
    form = re.compile(pattern)

    def check(value: str) -> str:
        if form.fullmatch(value) is None:
            raise ValueError(remedy)
        return value

    return AfterValidator(check)


def _documented(pattern: str, example: str) -> Any:
    """The same for the reader of a schema."""
    return Field(json_schema_extra={"pattern": f"^{pattern}$", "examples": [example]})


def _header_fit(secret: SecretStr) -> SecretStr:
    if len(secret) > 4096 or _VISIBLE.fullmatch(secret.get_secret_value()) is None:
        raise ValueError("must be 1 to 4096 visible ASCII characters alone; no spaces, no line breaks")
    return secret


def _plain(text: str) -> str:
    if not is_plain(text):
        raise ValueError("must hold no control characters and nothing that is not seen or turns the writing round")
    return text


def _absent_if_null(model: type[BaseModel]) -> BeforeValidator:
    """Take null as what was left out."""
    return BeforeValidator(lambda given: {} if given is None else given, json_schema_input_type=model | None)


_DIGITS, _E164, _SITE_CODE = "[0-9]{1,32}", r"\+[1-9][0-9]{6,14}", "[A-Za-z0-9-]{1,50}"
PhoneNumberId = Annotated[
    str,
    _like(_DIGITS, "must be Meta's id of the number, 1 to 32 digits; not the number itself"),
    _documented(_DIGITS, "100000000000001"),
]
MetaId = Annotated[str, _like(_DIGITS, "must be Meta's id, 1 to 32 digits"), _documented(_DIGITS, "200000000000001")]
E164 = Annotated[
    str,
    _like(_E164, "must be in E.164: a plus, the country code, the number, no spaces: +27821234567"),
    _documented(_E164, "+27821234567"),
]
SiteCode = Annotated[
    str,
    _like(_SITE_CODE, "must be the site code that Ozow gave, such as TSTSTE0001"),
    _documented(_SITE_CODE, "TSTSTE0001"),
]
Token = Annotated[SecretStr, AfterValidator(_header_fit), _documented(r"[\x21-\x7e]{1,4096}", "EAAG...")]


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class PhoneNumber(_Schema):
    """A business number: Meta's id of it, and how people see it."""

    phone_number_id: PhoneNumberId
    display_phone_number: E164


class Location(_Schema):
    lat: float = Field(ge=-90, le=90, strict=True)
    lon: float = Field(ge=-180, le=180, strict=True)


class WhatsAppAccount(_Schema):
    access_token: Token
    waba_id: MetaId | None = None
    catalog_id: MetaId | None = None


class PaystackAccount(_Schema):
    secret_key: Token


class OzowAccount(_Schema):
    site_code: SiteCode
    private_key: Token
    api_key: Token


class Payments(_Schema):
    """The gateways by which a merchant is paid."""

    paystack: PaystackAccount | None = None
    ozow: OzowAccount | None = None


Requests = Annotated[int, Field(ge=1, le=1_000_000_000, strict=True)]


class Limits(_Schema):
    """Requests on one route; None means the platform's limit."""

    minute: Requests | None = None
    hour: Requests | None = None

    @model_validator(mode="after")
    def _hour_takes_the_minute(self) -> Self:
        if self.minute is not None and self.hour is not None and self.minute > self.hour:
            raise ValueError("minute must not be above hour, for an hour would never let so many through")
        return self


class TenantSpec(_Schema):
    """A tenant to be made."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_plain)]
    phone_numbers: tuple[PhoneNumber, ...] = Field(min_length=1, max_length=20)
    location: Location
    whatsapp: WhatsAppAccount
    payments: Annotated[Payments, _absent_if_null(Payments)] = Payments()
    limits: Annotated[Limits, _absent_if_null(Limits)] = Limits()

    @field_validator("phone_numbers")
    @classmethod
    def _differ(cls, numbers: tuple[PhoneNumber, ...]) -> tuple[PhoneNumber, ...]:
        if len({number.phone_number_id for number in numbers}) < len(numbers):
            raise ValueError("the same phone_number_id stands there twice; name each once")
        return numbers


class IssuedCredential(_Schema):
    """What a tenant signs its calls with; shown when it is issued and never again.

    Attributes:
        secret: base64 of 32 bytes, the key of HS256; of RS256 the public key that the tenant gave, in PEM.
        algorithm: in which calls are signed.
    """

    kid: str
    secret: SecretStr
    algorithm: str = "HS256"


class ProvisionedTenant(_Schema):
    """A tenant that is there, whole.

    Attributes:
        credential: as it was issued; None a day after that.
    """

    tenant_id: str
    shard_id: int
    credential: IssuedCredential | None = None
