"""What Meta asks of the webhook, as it is documented."""

from typing import Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from gateway.operations import Operation
from gateway.refused import Refused


class Handshake(BaseModel):
    """Meta's question whether the webhook is ours."""

    hub_mode: Literal["subscribe"] = Field(alias="hub.mode")
    hub_verify_token: str = Field(alias="hub.verify_token")
    hub_challenge: str = Field(alias="hub.challenge", min_length=1)


class Challenge(RootModel[str]):
    """The challenge, given back."""

    media_type: ClassVar[str] = "text/plain; charset=utf-8"


class Change(BaseModel):
    """Messages, statuses, or something else that happened to a number."""

    model_config = ConfigDict(extra="allow")

    field: str = Field(examples=["messages"])
    value: dict[str, Any]


class Entry(BaseModel):
    """What happened in one WhatsApp Business Account."""

    model_config = ConfigDict(extra="allow")

    id: str
    changes: list[Change]


class Envelope(BaseModel):
    """What Meta delivers. Whatever is signed is kept, also what is not of this form."""

    model_config = ConfigDict(extra="allow")

    object: str = Field(examples=["whatsapp_business_account"])
    entry: list[Entry]


class Accepted(BaseModel):
    """It is in the journal."""

    message: Literal["accepted"]


OPERATIONS: Final = (
    Operation("GET", "/", "Meta's handshake.", query=Handshake, answers={200: Challenge, 403: Refused}),
    Operation(
        "POST",
        "/",
        "Messages and statuses, up to 3 MiB; answered when they are kept.",
        body=Envelope,
        answers={200: Accepted},
    ),
)
