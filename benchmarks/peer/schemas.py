"""Meta's envelope and the queue's message, as pydantic models at the edge."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Metadata(BaseModel):
    display_phone_number: str
    phone_number_id: str


class Text(BaseModel):
    body: str


class InboundMessage(BaseModel):
    model_config = ConfigDict(extra="allow", populate_by_name=True)

    sender: str = Field(alias="from")
    id: str
    timestamp: str
    type: str
    text: Text | None = None


class Profile(BaseModel):
    name: str


class Contact(BaseModel):
    wa_id: str
    profile: Profile | None = None


class Value(BaseModel):
    messaging_product: str
    metadata: Metadata
    contacts: list[Contact] = []
    messages: list[InboundMessage] = []
    statuses: list[dict[str, Any]] = []


class Change(BaseModel):
    field: str
    value: Value


class Entry(BaseModel):
    id: str
    changes: list[Change]


class Envelope(BaseModel):
    object: str
    entry: list[Entry]


class QueuedMessage(BaseModel):
    """What the webhook puts on the queue: one customer's message and the number that received it."""

    phone_number_id: str
    name: str | None
    message: InboundMessage
